from __future__ import annotations

import json
from pathlib import Path
from typing import Union

import pytest

from halftone import config
from halftone.config import ConfigError, Override, origins

CONF = Path(__file__).parents[2] / "conf"
FILE = """\
name: mine
paths:
  images: "a: b"
train:
  epochs: 3
  model:
    name: convnet
    filters: [8, 16]
card: {contact: "010"}
spark:
  conf:
    spark.ui.enabled: true
"""


def describe(folder: Path, text: str, *overrides: Union[str, Override]) -> dict[str, str]:
    """The origin of each line, by the line."""
    path = folder / "run.yaml"
    path.write_text(text)
    lines = origins.describe(str(path), overrides).replace(str(path), "run.yaml").split("\n")
    return {line.partition("  # ")[0].strip(): line.partition("  # ")[2] for line in lines}


def test_each_value_has_its_origin(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HALFTONE_TRAIN_BATCH_SIZE", "16")
    monkeypatch.setenv("HALFTONE_TRAIN_EPOCHS", "4")
    lines = describe(tmp_path, FILE, "train.epochs=5", "spark.conf.spark.b=x")
    expected = {
        "name: mine": "run.yaml:1",
        "seed: 0": "default",
        'images: "a: b"': "run.yaml:3",
        "dataset: null": "default",
        "batch_size: 16": "HALFTONE_TRAIN_BATCH_SIZE",
        "epochs: 5": "--set",
        "filters: [8, 16]": "run.yaml:8",
        "kernels_px: [3]": "default",
        "activation: relu": "default",
        'contact: "010"': "run.yaml:9",
        "learning_rate: 0.001": "default",
        'spark.ui.enabled: "true"': "run.yaml:12",
        "spark.b: x": "--set",
        "train:": "",
    }
    assert {line: lines[line] for line in expected} == expected


def test_a_setting_of_a_flag_has_the_flag_as_its_origin(tmp_path: Path) -> None:
    flags = (
        config.parse_flag("--folds", "splits.folds", "4"),
        config.parse_flag("--input", "paths.images", "010"),  # a path is no YAML
    )
    lines = describe(tmp_path, FILE, "splits.folds=3", *flags)
    assert (lines["folds: 4"], lines['images: "010"']) == ("--folds", "--input")


def test_a_section_that_was_replaced_has_nothing_from_the_file(tmp_path: Path) -> None:
    lines = describe(tmp_path, FILE, "train.model={name: convnet, dense: [4]}")
    assert (lines["name: convnet"], lines["dense: [4]"]) == ("--set", "--set")
    assert lines["filters: [32, 32]"] == "default"


def test_what_is_or_may_be_secret_is_not_shown(tmp_path: Path) -> None:
    text = """
        storage: {options: {s3: {endpoint_url: "http://inside:9000", anon: true}}}
        retrain: {webhook: "https://hooks.example/T0/B0/xyz"}
        tracking: {uri: "postgresql://me:pw@db/mlflow"}
        spark: {conf: {spark.hadoop.fs.s3a.secret.key: abc, spark.a: b}}
        train: {model: {name: custom, build: "m:f", args: {token: t0, depth: 3}}}
    """
    lines = describe(tmp_path, text)
    hidden = [line.partition(":")[0] for line in lines if line.endswith("(not shown)")]
    assert hidden == [
        "token", "uri", "webhook", "endpoint_url", "anon", "spark.hadoop.fs.s3a.secret.key",
    ]  # fmt: skip
    assert lines["depth: 3"] == "run.yaml:6"
    assert "webhook: $HOOK" in describe(tmp_path, "retrain: {webhook: $HOOK}")


@pytest.mark.parametrize("path", sorted(CONF.glob("*.yaml")), ids=lambda path: path.name)
def test_the_text_is_a_config_with_the_same_settings(path: Path, tmp_path: Path) -> None:
    text = "\U0001f600 ~ é: [x] # no\nnext \x85 line"
    given = [f"card.contact={json.dumps(text)}", "name='010'"]
    copy = tmp_path / "copy.yaml"
    copy.write_text(origins.describe(str(path), given), encoding="utf-8")
    loaded = config.load_config(str(copy))
    assert loaded == config.load_config(str(path), given)
    assert loaded.name == "010"


def test_a_mistake_is_reported_as_by_a_job(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="--set epochs=3: 1 mistake"):
        describe(tmp_path, FILE, "epochs=3")
