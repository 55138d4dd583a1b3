"""The lines of a log, as the protocol has them."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, NamedTuple, Optional
from urllib.parse import quote, unquote

# What a reader and a writer must know. Every version of every reader knows these.
READER_VERSION, WRITER_VERSION = 1, 2
_DESCRIPTION = (
    "Written by Halftone, beside the file that names the same files. Do not write to this table: "
    "the next run of the job would undo it."
)
# VACUUM removes what the log does not name once it is older than this: manifests, cards, and the
# files of the previous version. Halftone removes its own files.
_CONFIGURATION = {"delta.deletedFileRetentionDuration": "interval 36500 days"}

Action = dict[str, dict[str, Any]]


class TableFile(NamedTuple):
    """A Parquet file of a table."""

    path: str  # below the table's folder, as it is named there
    size_bytes: int
    modified_ms: int  # when it was written, since 1970
    num_rows: Optional[int] = None  # None: not known
    # Names and values of the partition columns; the value of another program's table may be null.
    partition: tuple[tuple[str, Optional[str]], ...] = ()


def protocol() -> Action:
    return {"protocol": {"minReaderVersion": READER_VERSION, "minWriterVersion": WRITER_VERSION}}


def metadata(
    table_id: str, schema: str, partition_columns: Sequence[str], created_ms: int
) -> Action:
    """Return the action that describes the table.

    Args:
        table_id: a UUID.
        schema: as `schema_string`.
    """
    return {
        "metaData": {
            "id": table_id,
            "description": _DESCRIPTION,
            "format": {"provider": "parquet", "options": {}},
            "schemaString": schema,
            "partitionColumns": list(partition_columns),
            "configuration": dict(_CONFIGURATION),
            "createdTime": created_ms,
        }
    }


def commit_info(engine: str, created_ms: int, facts: Mapping[str, Any]) -> Action:
    """Return the action that says who wrote the version; readers show it as the history."""
    return {
        "commitInfo": {
            "timestamp": created_ms,
            "operation": "WRITE",
            "operationParameters": {},
            "engineInfo": engine,
            **facts,
        }
    }


def add(file: TableFile, *, changes_data: bool = True) -> Action:
    """Return the action that adds a file; in a checkpoint it changes no data, as it repeats."""
    stats = {} if file.num_rows is None else {"stats": json.dumps({"numRecords": file.num_rows})}
    return {
        "add": {
            "path": quote(file.path),
            "partitionValues": dict(file.partition),
            "size": file.size_bytes,
            "modificationTime": file.modified_ms,
            "dataChange": changes_data,
            **stats,
        }
    }


def remove(file: TableFile, removed_ms: int) -> Action:
    return {
        "remove": {
            "path": quote(file.path),
            "deletionTimestamp": removed_ms,
            "dataChange": True,
            "extendedFileMetadata": True,
            "partitionValues": dict(file.partition),
            "size": file.size_bytes,
        }
    }


def added_file(fields: Mapping[str, Any]) -> TableFile:
    """Return the file of an `add`, from JSON or from a checkpoint, where a map is a list of pairs.

    Raises:
        KeyError, TypeError, ValueError: it is no such action.
    """
    stats = json.loads(fields.get("stats") or "{}")
    partition = sorted(dict(fields["partitionValues"]).items())
    return TableFile(
        unquote(fields["path"]),
        int(fields["size"]),
        int(fields["modificationTime"]),
        stats.get("numRecords"),
        tuple(partition),
    )


def write_lines(actions: Iterable[Action]) -> bytes:
    """Return the content of the file of a version."""
    return "".join(json.dumps(action, separators=(",", ":")) + "\n" for action in actions).encode()
