"""Write the next version of a Delta table into its log.

The log follows the file that names the files of an output (`manifest.json`, `metrics.json`), which
is written first and decides. A job that is killed between the two leaves a log that is one version
behind; the next run of the same job writes the same version. So does a log become right again that
is missing, damaged, or was changed by another program: it is then started anew, with a checkpoint,
as the table as of now.
"""

from __future__ import annotations

import uuid
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple, Optional

import pyarrow as pa

import halftone
from halftone import storage
from halftone.delta_log import actions
from halftone.delta_log.actions import Action, TableFile
from halftone.delta_log.checkpoint import write_checkpoint
from halftone.delta_log.snapshot import (
    LOG_FOLDER,
    Snapshot,
    UnreadableLogError,
    commit_name,
    read_snapshot,
)
from halftone.delta_log.table_schema import schema_string
from halftone.progress import log_notes

_CHECKPOINT_VERSIONS = 10  # a checkpoint after so many versions, as other writers do
_FIRST_VERSION = 1  # version 0 is the empty table


class TableContent(NamedTuple):
    """What a version of a table holds."""

    root: str  # the table's folder
    schema: pa.Schema  # of its Parquet files
    files: Sequence[TableFile]
    created_ms: int  # when the version was made, since 1970
    facts: Mapping[str, Any]  # of the version, for its history; equal for a version made again
    partition_columns: tuple[str, ...] = ()
    comments: Mapping[str, str] = {}  # by the name of the column

    def schema_string(self) -> str:
        return schema_string(self.schema, self.partition_columns, self.comments)


def publish_version(content: TableContent, version: int) -> None:
    """Make `content` the version `version` of a table, unless it is that already.

    Nothing is done for a table that does not exist and would have no files.

    Args:
        version: from 1; the log's own number of the version.
    """
    snapshot = _read_log(content)
    if snapshot is None and not content.files:
        return
    if snapshot is not None and _has_schema(snapshot, content):
        if snapshot.version == version and _has_files(snapshot, content):
            return
        if snapshot.version == version - 1 and _commit(snapshot, content):
            return
        _note(content, f"has version {snapshot.version}, which Halftone has not written")
    elif snapshot is None and version == _FIRST_VERSION:
        _start(content)
        return
    _start_anew(content, version)


def publish_next_version(content: TableContent) -> None:
    """Make `content` the newest version of a table, with the next number, unless it is that."""
    snapshot = _read_log(content)
    if snapshot is None:
        publish_version(content, _FIRST_VERSION)
    elif not _has_schema(snapshot, content):
        _start_anew(content, snapshot.version + 1)
    elif not _has_files(snapshot, content):
        publish_version(content, snapshot.version + 1)


def _read_log(content: TableContent) -> Optional[Snapshot]:
    try:
        return read_snapshot(content.root)
    except UnreadableLogError as error:
        _note(content, f"is not readable ({error})")
        storage.remove(storage.join(content.root, LOG_FOLDER))
        return None


def _note(content: TableContent, problem: str) -> None:
    log_notes(
        [
            f"{content.root}/{LOG_FOLDER}: {problem}; it is written again, and older versions of "
            "the table are gone"
        ]
    )


def _has_schema(snapshot: Snapshot, content: TableContent) -> bool:
    return (snapshot.schema, snapshot.partition_columns) == (
        content.schema_string(),
        content.partition_columns,
    )


def _has_files(snapshot: Snapshot, content: TableContent) -> bool:
    return {(path, file.size_bytes) for path, file in snapshot.files.items()} == {
        (file.path, file.size_bytes) for file in content.files
    }


def _start(content: TableContent) -> None:
    """Write version 0, the empty table, and version 1."""
    identity = _metadata(content)
    _write_commit(content, 0, [actions.protocol(), identity])
    _write_commit(content, _FIRST_VERSION, [actions.add(file) for file in content.files])


def _commit(snapshot: Snapshot, content: TableContent) -> bool:
    """Write the version behind `snapshot`; return False if another one was written meanwhile."""
    version = snapshot.version + 1
    paths = {file.path for file in content.files}
    added = [actions.add(file) for file in content.files if file.path not in snapshot.files]
    removed = [
        actions.remove(file, content.created_ms)
        for path, file in snapshot.files.items()
        if path not in paths
    ]
    if not _write_commit(content, version, [*added, *removed]):
        return False
    if not version % _CHECKPOINT_VERSIONS:
        # A file that stays keeps what the log says of it.
        files = [snapshot.files.get(file.path, file) for file in content.files]
        identity = _metadata(content, snapshot)
        _write_checkpoint(content._replace(files=files), version, identity)
    return True


def _start_anew(content: TableContent, version: int) -> None:
    """Write a log that begins with `version`. Its table is another one for readers."""
    storage.remove(storage.join(content.root, LOG_FOLDER))
    identity = _metadata(content)
    adds = [actions.add(file) for file in content.files]
    _write_commit(content, version, [actions.protocol(), identity, *adds])
    _write_checkpoint(content, version, identity)


def _write_checkpoint(content: TableContent, version: int, identity: Action) -> None:
    adds = [actions.add(file, changes_data=False) for file in content.files]
    write_checkpoint(content.root, version, [actions.protocol(), identity, *adds])


def _metadata(content: TableContent, snapshot: Optional[Snapshot] = None) -> Action:
    """Return the metadata of a table, or those that its log has already."""
    table_id, created_ms = _new_id(content), content.created_ms
    if snapshot is not None:
        table_id, created_ms = snapshot.table_id, snapshot.created_ms
    return actions.metadata(
        table_id, content.schema_string(), content.partition_columns, created_ms
    )


def _new_id(content: TableContent) -> str:
    """Return a UUID that is the same if a killed job is run again, and for no other table."""
    text = f"{content.root} {content.created_ms} {sorted(content.facts.items())}"
    return str(uuid.uuid5(uuid.NAMESPACE_URL, text))


def _write_commit(content: TableContent, version: int, lines: Sequence[Action]) -> bool:
    """Write a file of the log that no reader has seen; return False if there is another one."""
    facts: Mapping[str, Any] = content.facts if version else {}
    info = actions.commit_info(f"Halftone/{halftone.__version__}", content.created_ms, facts)
    url = storage.join(content.root, LOG_FOLDER, commit_name(version))
    return storage.create_file(url, actions.write_lines([info, *lines]))
