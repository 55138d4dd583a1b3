"""Read the log of a Delta table: its newest version."""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Iterator, Mapping
from typing import Any, NamedTuple, Optional
from urllib.parse import unquote

import pyarrow as pa

from halftone import storage
from halftone.delta_log import actions
from halftone.delta_log.actions import TableFile
from halftone.errors import InputError

LOG_FOLDER = "_delta_log"
LAST_CHECKPOINT = "_last_checkpoint"
_COMMIT = re.compile(r"(\d{20})\.json")
_CHECKPOINT = re.compile(r"(\d{20})\.checkpoint(?:\.\d{10}\.(\d{10}))?\.parquet")
_CHECKPOINT_COLUMNS = ["protocol", "metaData", "add"]


class UnreadableLogError(InputError):
    """A log is incomplete or damaged, or needs what this reader does not know."""


class Snapshot(NamedTuple):
    """A version of a table."""

    version: int
    table_id: str
    schema: str  # JSON, as `schema_string`
    partition_columns: tuple[str, ...]
    created_ms: int  # the table
    files: dict[str, TableFile]  # by path


def commit_name(version: int) -> str:
    return f"{version:020d}.json"


def checkpoint_name(version: int) -> str:
    return f"{version:020d}.checkpoint.parquet"


def has_log(root: str) -> bool:
    """Return whether the folder `root` is a Delta table."""
    return bool(storage.list_names(storage.join(root, LOG_FOLDER)))


def read_snapshot(root: str) -> Optional[Snapshot]:
    """Read the newest version of the table at `root`; None if there is no log.

    Raises:
        UnreadableLogError: the log is incomplete or damaged, or the table has a feature that its
            readers must know, such as deletion vectors.
    """
    folder = storage.join(root, LOG_FOLDER)
    names = storage.list_names(folder)
    if not any(_COMMIT.fullmatch(name) or _CHECKPOINT.fullmatch(name) for name in names):
        return None
    checkpoint, parts = _newest_checkpoint(names)
    versions = sorted(int(match[1]) for match in map(_COMMIT.fullmatch, names) if match)
    later = [version for version in versions if version > checkpoint]
    if later != list(range(checkpoint + 1, checkpoint + 1 + len(later))):
        raise UnreadableLogError(f"{folder}: versions are missing; restore the log from a backup")
    state = _LogState(root)
    try:
        for part in parts:
            state.apply(_read_checkpoint(storage.join(folder, part)))
        for version in later:
            state.apply(_read_commit(storage.join(folder, commit_name(version))))
        return state.snapshot(later[-1] if later else checkpoint)
    except UnreadableLogError:
        raise
    except (KeyError, TypeError, ValueError, AttributeError, pa.ArrowException) as error:
        raise UnreadableLogError(
            f"{folder}: is damaged ({error!r}); restore it from a backup"
        ) from None


def _newest_checkpoint(names: Iterable[str]) -> tuple[int, list[str]]:
    """Return the version and the files of the newest complete checkpoint; -1 if there is none."""
    parts: dict[tuple[int, int], list[str]] = {}
    for name in names:
        match = _CHECKPOINT.fullmatch(name)
        if match:
            parts.setdefault((int(match[1]), int(match[2] or 1)), []).append(name)
    complete = [key for key, found in parts.items() if len(found) == key[1]]
    if not complete:
        return -1, []
    newest = max(complete)
    return newest[0], sorted(parts[newest])


def _read_commit(url: str) -> Iterator[Mapping[str, Any]]:
    for line in storage.read_bytes(url).splitlines():
        if line.strip():
            yield json.loads(line)


def _read_checkpoint(url: str) -> Iterator[Mapping[str, Any]]:
    with storage.open_parquet(url) as file:
        columns = [name for name in _CHECKPOINT_COLUMNS if name in file.schema_arrow.names]
        for batch in file.iter_batches(columns=columns):
            yield from batch.to_pylist()


class _LogState:
    """The sum of the actions so far."""

    def __init__(self, root: str) -> None:
        self._root = root
        self._protocol: Optional[Mapping[str, Any]] = None
        self._metadata: Optional[Mapping[str, Any]] = None
        self._files: dict[str, TableFile] = {}

    def apply(self, lines: Iterable[Mapping[str, Any]]) -> None:
        for line in lines:
            if line.get("protocol"):
                self._protocol = line["protocol"]
                self._check_protocol(line["protocol"])
            if line.get("metaData"):
                self._metadata = line["metaData"]
            if line.get("add"):
                if line["add"].get("deletionVector"):
                    raise self._unsupported("deletion vectors")
                file = actions.added_file(line["add"])
                self._files[file.path] = file
            if line.get("remove"):
                self._files.pop(unquote(line["remove"]["path"]), None)

    def _check_protocol(self, protocol: Mapping[str, Any]) -> None:
        features = protocol.get("readerFeatures") or []
        if features:
            raise self._unsupported(", ".join(sorted(features)))
        if int(protocol["minReaderVersion"]) > actions.READER_VERSION:
            raise self._unsupported(f"reader version {protocol['minReaderVersion']}")

    def _unsupported(self, what: str) -> UnreadableLogError:
        return UnreadableLogError(
            f"{self._root}: is a Delta table with {what}, which Halftone does not read; write its "
            "rows to a table without that, or to a folder of Parquet files"
        )

    def snapshot(self, version: int) -> Snapshot:
        if self._protocol is None or self._metadata is None:
            raise UnreadableLogError(
                f"{self._root}/{LOG_FOLDER}: has no schema; restore it from a backup"
            )
        return Snapshot(
            version,
            self._metadata["id"],
            self._metadata["schemaString"],
            tuple(self._metadata["partitionColumns"]),
            int(self._metadata.get("createdTime") or 0),
            self._files,
        )
