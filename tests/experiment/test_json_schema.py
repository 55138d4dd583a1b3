from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from jsonschema import Draft202012Validator

from halftone.config import ConfigError, read_yaml
from halftone.config.json_schema import format_schema
from halftone.experiment.json_schema import json_schema
from halftone.experiment.spec import parse_spec

CONF = Path(__file__).parents[2] / "conf"
MODELINE = "# yaml-language-server: $schema=../schema/experiment.json"
SCHEMA = json_schema()
VALIDATOR = Draft202012Validator(SCHEMA)
FILES = sorted((CONF / "experiments").glob("*.yaml"))
RUNS = [{"name": "one"}]


def test_schema_is_valid_and_its_file_is_up_to_date() -> None:
    Draft202012Validator.check_schema(SCHEMA)
    text = (CONF / "schema" / "experiment.json").read_text(encoding="utf-8")
    assert text == format_schema(SCHEMA), (
        "run: python -m halftone.experiment.json_schema > conf/schema/experiment.json"
    )


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.name)
def test_a_shipped_experiment_fits_the_schema_that_it_names(path: Path) -> None:
    assert path.read_text(encoding="utf-8").startswith(f"{MODELINE}\n")
    assert list(VALIDATOR.iter_errors(read_yaml(str(path)))) == []


@pytest.mark.parametrize(
    ("content", "expected"),
    [
        ({"runs": RUNS}, [("", "required")]),
        ({"name": "a", "rnus": RUNS}, [("", "additionalProperties")]),
        ({"name": "a b", "runs": RUNS}, [("name", "pattern")]),
        ({"name": "a", "runs": {"name": "one"}}, [("runs", "type")]),
        ({"name": "a", "runs": [{}]}, [("runs[0]", "required")]),
        ({"name": "a", "base": {"train": {"epochs": 0}}}, [("base.train.epochs", "minimum")]),
        (
            {"name": "a", "runs": [{"name": "one", "set": {"train.epoch": 1}}]},
            [("runs[0].set", "additionalProperties")],
        ),
        (
            {"name": "a", "runs": [{"name": "one", "set": {"train.epochs": "x"}}]},
            [("runs[0].set['train.epochs']", "type")],
        ),
        (
            {"name": "a", "runs": [{"name": "one", "set": {"train.model": {"filters": 8}}}]},
            [("runs[0].set['train.model'].filters", "type")],
        ),
        ({"name": "a", "grid": {"train.epochs": 3}}, [("grid['train.epochs']", "anyOf")]),
        (
            {"name": "a", "search": {"trials": 2, "space": {"train.epochs": {"low": 1}}}},
            [("search", "anyOf")],
        ),
        ({"name": "a", "runs": RUNS, "score": ["all"]}, [("score[0]", "enum")]),
    ],
    ids=lambda value: json.dumps(value) if isinstance(value, dict) else "",
)
def test_wrong_experiment(content: dict[str, Any], expected: list[tuple[str, str]]) -> None:
    found = [
        (error.json_path[1:].removeprefix("."), error.validator)
        for error in VALIDATOR.iter_errors(content)
    ]
    assert found == expected


def test_keys_of_settings_may_be_free_or_of_several_families() -> None:
    settings = {
        "train.model.filters": [8, 8],  # of convnet and of residual
        "train.model.args.depth": 3,
        "train.class_weights.cat": 2,
        "spark.conf.spark.ui.enabled": True,
        "storage.options.s3.anon": True,
        "train.augment": {"flip": "both"},
    }
    content = {"name": "a", "runs": [{"name": "one", "set": settings}]}
    assert VALIDATOR.is_valid(content)
    assert parse_spec(content, "a.yaml").runs[0].set == settings


def test_what_the_schema_cannot_know_is_found_when_it_is_loaded() -> None:
    content = {"name": "a", "grid": {"train.epoch": [1, 2]}, "choose": {"metric": "f1"}}
    assert VALIDATOR.is_valid(content)
    with pytest.raises(ConfigError, match=r'choose\.metric = "f1": needs the scores'):
        parse_spec(content, "a.yaml")
