"""Checkpoints: the sum of a log as one Parquet file, from which readers start."""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Any

import pyarrow as pa

from halftone import storage
from halftone.delta_log.actions import Action
from halftone.delta_log.snapshot import LAST_CHECKPOINT, LOG_FOLDER, checkpoint_name

_TEXT_MAP = pa.map_(pa.string(), pa.string())
_SCHEMA = pa.schema(
    [
        pa.field(
            "protocol",
            pa.struct([("minReaderVersion", pa.int32()), ("minWriterVersion", pa.int32())]),
        ),
        pa.field(
            "metaData",
            pa.struct(
                [
                    ("id", pa.string()),
                    ("description", pa.string()),
                    ("format", pa.struct([("provider", pa.string()), ("options", _TEXT_MAP)])),
                    ("schemaString", pa.string()),
                    ("partitionColumns", pa.list_(pa.string())),
                    ("configuration", _TEXT_MAP),
                    ("createdTime", pa.int64()),
                ]
            ),
        ),
        pa.field(
            "add",
            pa.struct(
                [
                    ("path", pa.string()),
                    ("partitionValues", _TEXT_MAP),
                    ("size", pa.int64()),
                    ("modificationTime", pa.int64()),
                    ("dataChange", pa.bool_()),
                    ("stats", pa.string()),
                ]
            ),
        ),
    ]
)


def write_checkpoint(root: str, version: int, state: Sequence[Action]) -> None:
    """Write the checkpoint of a version of the table at `root`.

    Args:
        state: the protocol, the metadata and all files of the version.
    """
    folder = storage.join(root, LOG_FOLDER)
    rows = [_with_pairs(action) for action in state]
    table = pa.Table.from_pylist(rows, _SCHEMA)
    storage.write_table(storage.join(folder, checkpoint_name(version)), table)
    pointer = {"version": version, "size": len(state)}
    storage.write_bytes(storage.join(folder, LAST_CHECKPOINT), json.dumps(pointer).encode())


def _with_pairs(value: Any, *path: str) -> Any:
    """Return an action with its maps as lists of pairs, as Arrow takes them."""
    if not isinstance(value, dict):
        return value
    if path[-1:] in (("partitionValues",), ("configuration",), ("options",)):
        return list(value.items())
    return {name: _with_pairs(field, *path, name) for name, field in value.items()}
