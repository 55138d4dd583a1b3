"""The JSON Schema of an experiment file, with which editors complete and check it.

python -m halftone.experiment.json_schema > conf/schema/experiment.json
"""

from __future__ import annotations

from typing import Any

from halftone.config.json_schema import DIALECT, format_schema, schema_of
from halftone.config.keys import settings_and_sections
from halftone.config.root import Config
from halftone.experiment.spec import ExperimentSpec

_CONFIG, _SETTINGS = "Config", "Settings"
# Below these, the names are the user's.
_FREE_KEYS = r"^(spark\.conf|storage\.options|train\.class_weights|train\.model\.args)\..+$"
_NAMED_VALUES = [
    {"type": "array", "minItems": 1},
    {"type": "object", "minProperties": 1, "description": "values by name"},
]
_SEARCHED_VALUES = [
    {"type": "array", "minItems": 1},
    {
        "type": "object",
        "properties": {
            "low": {"type": "number"},
            "high": {"type": "number"},
            "log": {"type": "boolean", "description": "draw on a logarithmic scale"},
            "step": {"type": "number", "exclusiveMinimum": 0},
        },
        "required": ["low", "high"],
        "additionalProperties": False,
    },
]


def json_schema() -> dict[str, Any]:
    """Return the JSON Schema (draft 2020-12) of an experiment file.

    Settings below `base` are those of a config; those below `set` have dotted keys.
    """
    schema, config_schema = schema_of(ExperimentSpec), schema_of(Config)
    sections = {**config_schema.pop("$defs"), **schema.pop("$defs")}
    _refer(schema["properties"], "base", _CONFIG)
    for name in ("StageSpec", "RunSpec"):
        _refer(sections[name]["properties"], "set", _SETTINGS)
    for runs, key, values in (
        (schema, "grid", _NAMED_VALUES),
        (sections["StageSpec"], "grid", _NAMED_VALUES),
        (sections["RandomSpec"], "from", _NAMED_VALUES),
        (sections["SearchSpec"], "space", _SEARCHED_VALUES),
    ):
        runs["properties"][key]["additionalProperties"] = {"anyOf": values}
    named = {_CONFIG: config_schema, _SETTINGS: _dotted_settings()}
    title = "Experiment of Halftone"
    return {"$schema": DIALECT, **schema, "title": title, "$defs": {**sections, **named}}


def _refer(fields: dict[str, Any], name: str, target: str) -> None:
    fields[name] = {"$ref": f"#/$defs/{target}", "description": fields[name]["description"]}


def _dotted_settings() -> dict[str, Any]:
    """Return the schema of settings by dotted key, each that of its section."""
    references: dict[str, list[dict[str, Any]]] = {}
    for setting in settings_and_sections():
        section = f"#/$defs/{setting.section.__name__}/properties/{setting.name}"
        references.setdefault(setting.key, []).append({"$ref": section})
    return {
        "type": "object",
        "properties": {
            key: {"anyOf": targets} if len(targets) > 1 else targets[0]
            for key, targets in references.items()
        },
        "patternProperties": {_FREE_KEYS: {}},
        "additionalProperties": False,
    }


if __name__ == "__main__":
    print(format_schema(json_schema()), end="")
