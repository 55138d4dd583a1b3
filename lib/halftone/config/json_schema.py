"""The JSON Schema of a config, with which editors complete and check it.

    python -m halftone.config.json_schema > conf/schema/config.json

The keywords are those of draft 7 besides $defs, as editors know few others. The schema accepts what
`load_config` accepts, but for what needs more than one setting to be judged, regular expressions,
and the notation of numbers.
"""

from __future__ import annotations

import json
from collections.abc import Iterable
from typing import Any

from pydantic import BaseModel
from pydantic.json_schema import GenerateJsonSchema, JsonSchemaValue
from pydantic_core import core_schema

from halftone.config.effects import MARKS
from halftone.config.root import Config
from halftone.config.yaml_values import SWITCHES

DIALECT = "https://json-schema.org/draft/2020-12/schema"


class _Generator(GenerateJsonSchema):
    """Writes what the loader accepts before pydantic sees it."""

    def bool_schema(self, schema: core_schema.BoolSchema) -> JsonSchemaValue:
        words = [f(word) for word in SWITCHES for f in (str.lower, str.title, str.upper)]
        # A pattern is not completed: true and false are.
        switch = {"type": "string", "pattern": f"^({'|'.join(words)})$"}
        return {"anyOf": [{"type": "boolean"}, switch]}

    def dict_schema(self, schema: core_schema.DictSchema) -> JsonSchemaValue:
        generated = super().dict_schema(schema)
        if schema.get("values_schema", {}).get("type") == "str":
            generated["additionalProperties"] = {"type": ["string", "number", "boolean"]}
        return generated

    def default_schema(self, schema: core_schema.WithDefaultSchema) -> JsonSchemaValue:
        generated = super().default_schema(schema)
        if isinstance(generated.get("default"), dict) and generated["default"]:
            del generated["default"]  # those of its settings say the same
        return generated

    def tagged_union_schema(self, schema: core_schema.TaggedUnionSchema) -> JsonSchemaValue:
        """Choose a section by its name, and without a name the first one.

        Errors of an editor are then those of this section, not those of all.
        """
        rules: list[dict[str, Any]] = []
        for name, choice in schema["choices"].items():
            condition: dict[str, Any] = {"properties": {"name": {"const": name}}}
            if rules:
                condition["required"] = ["name"]
            rules.append({"if": condition, "then": self.generate_inner(choice)})
        names = {"enum": list(schema["choices"])}
        return {"type": "object", "properties": {"name": names}, "allOf": rules}

    def field_title_should_be_set(self, schema: Any) -> bool:
        return False  # it would be the key again


def json_schema() -> dict[str, Any]:
    """Return the JSON Schema (draft 2020-12) of a config file."""
    return {"$schema": DIALECT, **schema_of(Config), "title": "Config of Halftone"}


def schema_of(model: type[BaseModel]) -> dict[str, Any]:
    """Return the schema of a section, with those of its own sections in $defs."""
    schema = model.model_json_schema(schema_generator=_Generator)
    for section in (schema, *schema.get("$defs", {}).values()):
        _drop_marks(section.get("properties", {}).values())
    return schema


def format_schema(schema: dict[str, Any]) -> str:
    """Return the text of a schema file."""
    return json.dumps(schema, indent=2, ensure_ascii=False) + "\n"


def _drop_marks(fields: Iterable[dict[str, Any]]) -> None:
    """Remove what only fingerprints are made from."""
    for field in fields:
        for mark in MARKS:
            field.pop(mark, None)


if __name__ == "__main__":
    print(format_schema(json_schema()), end="")
