from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from jsonschema import Draft202012Validator
from pydantic import ValidationError

from halftone.config import Config, fit_section, overlay_settings, read_yaml
from halftone.config.json_schema import format_schema, json_schema
from halftone.config.keys import known_settings, settings_and_sections

CONF = Path(__file__).parents[2] / "conf"
MODELINE = "# yaml-language-server: $schema=schema/config.json"
SCHEMA = json_schema()
VALIDATOR = Draft202012Validator(SCHEMA)
FILES = sorted(CONF.glob("*.yaml"))


def test_schema_is_valid_and_its_file_is_up_to_date() -> None:
    Draft202012Validator.check_schema(SCHEMA)
    assert SCHEMA["$schema"] == "https://json-schema.org/draft/2020-12/schema"
    text = (CONF / "schema" / "config.json").read_text(encoding="utf-8")
    assert text == format_schema(SCHEMA), (
        "run: python -m halftone.config.json_schema > conf/schema/config.json"
    )


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.name)
def test_a_shipped_config_fits_the_schema_that_it_names(path: Path) -> None:
    assert path.read_text(encoding="utf-8").startswith(f"{MODELINE}\n")
    assert list(VALIDATOR.iter_errors(read_yaml(str(path)))) == []


def errors(settings: dict[str, Any]) -> list[tuple[str, str]]:
    """(dotted path, failed keyword) of each error."""
    return [(error.json_path[2:], error.validator) for error in VALIDATOR.iter_errors(settings)]


@pytest.mark.parametrize(
    ("settings", "expected"),
    [
        ({"epoch": 3}, [("", "additionalProperties")]),
        ({"train": {"epoch": 3}}, [("train", "additionalProperties")]),
        ({"train": {"epochs": "many"}}, [("train.epochs", "type")]),
        ({"train": {"epochs": 2.5}}, [("train.epochs", "type")]),
        ({"train": {"epochs": 0}}, [("train.epochs", "minimum")]),
        ({"train": {"label_smoothing": 1}}, [("train.label_smoothing", "exclusiveMaximum")]),
        ({"pixels": 64}, [("pixels", "type")]),
        ({"pixels": {"fit": "squash"}}, [("pixels.fit", "enum")]),
        ({"pixels": {"channels": 4}}, [("pixels.channels", "enum")]),
        ({"train": {"model": {"filters": 16}}}, [("train.model.filters", "type")]),
        ({"train": {"model": {"filters": []}}}, [("train.model.filters", "minItems")]),
        ({"train": {"model": {"hidden": [8]}}}, [("train.model", "additionalProperties")]),
        ({"train": {"model": {"name": "resnet"}}}, [("train.model.name", "enum")]),
        ({"train": {"model": {"name": "custom"}}}, [("train.model", "required")]),
        (
            {"train": {"model": {"name": "application", "architecture": "VGG17"}}},
            [("train.model.architecture", "enum")],
        ),
        ({"train": {"class_weights": {}}}, [("train.class_weights", "anyOf")]),
        ({"train": {"input_px": [8, 8, 8]}}, [("train.input_px", "anyOf")]),
        ({"preprocess": {"rows_per_shard": 0}}, [("preprocess.rows_per_shard", "anyOf")]),
        ({"score": {"threshold": 1.5}}, [("score.threshold", "anyOf")]),
        ({"storage": {"options": {"s4": {}}}}, [("storage.options", "enum")]),
        ({"retrain": {"webhook": "ftp://a"}}, [("retrain.webhook", "anyOf")]),
    ],
    ids=lambda value: json.dumps(value) if isinstance(value, dict) else "",
)
def test_wrong_setting(settings: dict[str, Any], expected: list[tuple[str, str]]) -> None:
    assert errors(settings) == expected


@pytest.mark.parametrize(
    "settings",
    [
        {},
        {"train": {"model": {"filters": [8, 8]}}},
        {"train": {"model": {"name": "mlp", "hidden": [], "dropout": 0.1}}},
        {"train": {"model": {"activation": "gelu", "dense": [8, 8], "dense_dropout": [0.1, 0.2]}}},
        {
            "train": {
                "model": {"activation": ["gelu", "relu", "none"]},
                "input_px": 32,
                "patience": None,
            }
        },
        {"train": {"shuffle": "off", "nesterov": "No", "class_weights": {"cat": 2}}},
        {"train": {"freeze": "none", "input_px": 32, "learning_rate": 1}},
        {"spark": {"conf": {"spark.a": 5, "spark.b": True, "spark.c": "off"}}},
        {"storage": {"options": {"s3": {"anon": "yes", "client_kwargs": {"region": "eu"}}}}},
    ],
    ids=json.dumps,
)
def test_what_the_loader_accepts(settings: dict[str, Any]) -> None:
    assert errors(settings) == []
    Config.model_validate_json(json.dumps(fit_section(settings, Config)))


# Without such as 2.0, which is an integer in a JSON Schema, and none for the loader.
VALUES = (
    *(None, True, False, -1, 0, 1, 2, 16, 0.25, 1.5, 10**9),
    *("", "none", "balanced", "auto", "off", "max", "host:2"),
    *([], [1], [1, 2], [0.5], [1, 2, 3], ["relu"], [-1], {}, {"a": 1}, {"a": "b"}),
)
COMPANIONS = {"custom": {"build": "m:f"}, "application": {"architecture": "VGG16"}}


def mistake_types(settings: dict[str, Any]) -> set[str]:
    """The kinds of mistakes that pydantic finds; value_error is that of a function of ours."""
    try:
        Config.model_validate_json(json.dumps(fit_section(settings, Config)))
    except ValidationError as error:
        return {item["type"] for item in error.errors()}
    return set()


def test_schema_and_loader_agree_on_every_setting_with_many_values() -> None:
    disagreements, num_refused = [], 0
    for setting in known_settings():
        network = {"name": setting.family, **COMPANIONS.get(setting.family, {})}
        base = {"train": {"model": network}} if setting.family else {}
        for value in VALUES:
            if setting.key == "pixels.channels" and value is True:
                continue  # equal to 1, which the loader takes
            settings = overlay_settings(base, {setting.key: value})
            types = mistake_types(settings)
            is_valid = VALIDATOR.is_valid(settings)
            num_refused += not is_valid
            # A function may refuse more, such as settings that do not fit together.
            if is_valid != (not types) and not (is_valid and types == {"value_error"}):
                disagreements.append((setting.key, setting.family, value, is_valid, types))
    assert disagreements == []
    assert num_refused > 1500


def test_every_setting_and_section_is_described() -> None:
    without = [
        setting.key
        for setting in settings_and_sections()
        if not (
            setting.field.annotation.__doc__ if setting.is_section else setting.field.description
        )
    ]
    assert without == []
