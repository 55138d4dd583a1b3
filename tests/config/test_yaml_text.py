from __future__ import annotations

from pathlib import Path

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

from halftone.config import ConfigError
from halftone.config.yaml_text import parse_yaml, read_yaml

DISAGREE = "readers of YAML take this for"
OCTAL = f"{DISAGREE} a decimal or an octal number"
TEXT = f"{DISAGREE} a text or a number"
BASE_60 = f"{DISAGREE} a text, or a number in base 60"


@pytest.mark.parametrize(
    ("text", "advice"),
    [
        ("064", f'{OCTAL}; write 64 or 52, or "064" in quotes for a text'),
        ("010", f'{OCTAL}; write 10 or 8, or "010" in quotes for a text'),
        ("-010", f'{OCTAL}; write -10 or -8, or "-010" in quotes for a text'),
        ("08", f'{OCTAL}; write 8, or "08" in quotes for a text'),
        ("00", f'{OCTAL}; write 0, or "00" in quotes for a text'),
        ("0o17", f'{TEXT}; write 15, or "0o17" in quotes for a text'),
        ("0b101", f'{TEXT}; write 5, or "0b101" in quotes for a text'),
        ("0x1_0", f'{TEXT}; write 16, or "0x1_0" in quotes for a text'),
        ("1_000", f'{TEXT}; write 1000, or "1_000" in quotes for a text'),
        ("1_000.5", f'{TEXT}; write 1000.5, or "1_000.5" in quotes for a text'),
        ("1:30", f'{BASE_60}; write 90, or "1:30" in quotes for a text'),
        ("1:30:00.5", f'{BASE_60}; write 5400.5, or "1:30:00.5" in quotes for a text'),
    ],
)
def test_number_that_readers_of_yaml_understand_differently(text: str, advice: str) -> None:
    with pytest.raises(ConfigError) as caught:
        parse_yaml(f"train: {{epochs: {text}}}", "run.yaml")
    assert str(caught.value) == f"run.yaml: 1 mistake\n  train.epochs = {text}: {advice}"
    assert parse_yaml(f'"{text}"', "run.yaml") == text


def test_all_such_numbers_are_reported_at_once() -> None:
    with pytest.raises(ConfigError) as caught:
        parse_yaml("a: {b: [8, 09]}\n1_6: x\n", "run.yaml")
    assert str(caught.value) == (
        "run.yaml: 2 mistakes\n"
        f'  a.b.1 = 09: {OCTAL}; write 9, or "09" in quotes for a text\n'
        f'  a key = 1_6: {TEXT}; write 16, or "1_6" in quotes for a text'
    )


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("0", 0), ("-12", -12), ("+5", 5), ("0x1F", 31),
        ("1e-3", 0.001), ("1E5", 100000.0), (".5", 0.5), ("5.", 5.0), ("-0.5", -0.5),
        (".inf", float("inf")), ("-.inf", float("-inf")),
        ("true", True), ("False", False), ("~", None), ("", None),
        ("off", "off"), ("No", "No"), ("on", "on"), ("y", "y"), ("nan", "nan"), ("=", "="),
        ("2026-11-01", "2026-11-01"), ("2026-13-45", "2026-13-45"),
        ("2026-11-01T10:00:00Z", "2026-11-01T10:00:00Z"), ("1.5.2", "1.5.2"),
    ],
)  # fmt: skip
def test_value_of_a_scalar(text: str, value: object) -> None:
    parsed = parse_yaml(text, "run.yaml")
    assert (type(parsed), parsed) == (type(value), value)


@given(st.one_of(st.integers(), st.floats(allow_nan=False), st.booleans(), st.none()))
def test_every_value_that_yaml_writes_is_read_back(value: object) -> None:
    assert parse_yaml(yaml.safe_dump({"a": [value]}), "run.yaml") == {"a": [value]}


def test_merge_keys() -> None:
    text = "base: &base {a: 1, b: 2}\nnext: {<<: *base, b: 3}\n"
    assert parse_yaml(text, "run.yaml")["next"] == {"a": 1, "b": 3}


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("- a\n- b\n", "must hold settings as key: value, holds a list"),
        (
            "seed: 1\npaths: [1\n",
            "not YAML: line 3, column 1: expected ',' or ']', but got the end "
            "(while parsing a flow sequence from line 2)",
        ),
        ("seed: 1\nseed: 2\n", "not YAML: line 2, column 1: key 'seed' is given twice"),
        (
            "a:\n\tb: 3\n",
            "not YAML: line 2, column 1: found character '\\t' that cannot start any token; indent "
            "with spaces",
        ),
        ("a: &x [*x]\n", "not YAML: a.0 contains itself"),
        (
            "a: 1\n---\nb: 2\n",
            "not YAML: line 2, column 1: expected a single document in the stream from line 1 but "
            "found another document",
        ),
        ("a: \x00", "not YAML: unacceptable character #x0000 at position 3"),
        (
            "a: !!python/object:os.x {}\n",
            "not YAML: line 1, column 4: could not determine a constructor for the tag",
        ),
    ],
)
def test_file_that_is_not_a_mapping_in_yaml(tmp_path: Path, text: str, message: str) -> None:
    path = tmp_path / "run.yaml"
    path.write_text(text)
    with pytest.raises(ConfigError) as caught:
        read_yaml(str(path))
    assert str(caught.value).startswith(f"{path}: {message}")


def test_file_in_another_encoding(tmp_path: Path) -> None:
    path = tmp_path / "run.yaml"
    path.write_bytes("name: café".encode("latin-1"))
    with pytest.raises(ConfigError, match=r"run\.yaml: cannot read the config: not UTF-8 text$"):
        read_yaml(str(path))
    path.write_bytes(b"\xef\xbb\xbfname: a")  # a byte order mark
    assert read_yaml(str(path)) == {"name": "a"}
