"""The schema of a Delta table, from an Arrow schema."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import Any, Union

import pyarrow as pa

_TYPES = {
    pa.string(): "string",
    pa.binary(): "binary",
    pa.bool_(): "boolean",
    pa.int8(): "byte",
    pa.int16(): "short",
    pa.int32(): "integer",
    pa.int64(): "long",
    pa.float32(): "float",
    pa.float64(): "double",
}


def schema_string(
    schema: pa.Schema, partition_columns: Sequence[str] = (), comments: Mapping[str, str] = {}
) -> str:
    """Return the JSON of `metaData.schemaString`.

    Args:
        schema: of the Parquet files.
        partition_columns: strings, never null, whose values the log has; they come last.
        comments: by the name of the column.
    """
    fields = [
        *((field.name, _type_of(field.type), field.nullable) for field in schema),
        *((name, "string", False) for name in partition_columns),
    ]
    return json.dumps(
        {
            "type": "struct",
            "fields": [
                {
                    "name": name,
                    "type": kind,
                    "nullable": nullable,
                    "metadata": {"comment": comments[name]} if name in comments else {},
                }
                for name, kind, nullable in fields
            ],
        }
    )


def _type_of(kind: pa.DataType) -> Union[str, dict[str, Any]]:
    if pa.types.is_list(kind):
        element = _type_of(kind.value_type)
        return {"type": "array", "elementType": element, "containsNull": kind.value_field.nullable}
    return _TYPES[kind]
