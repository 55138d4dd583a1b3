"""Predictions of raw images that an earlier run has made, and that stay."""

from __future__ import annotations

from collections import Counter
from typing import Any, NamedTuple

import pyarrow as pa

from halftone import arrow, storage
from halftone.dataset import schema
from halftone.preprocess.changes import KNOWN, ROW
from halftone.scoring.scores_directory import PREDICTIONS

_SEEN = [schema.SIZE_BYTES, schema.MODIFIED]
_ROW, _NO_KEY = arrow.of_text([ROW]), arrow.of_text([""])


class Kept(NamedTuple):
    """Files, each by its path below the folder of scores, and what they say of their images."""

    rows: dict[str, pa.Table]  # schema.KEY and _SEEN
    rejects: dict[str, pa.Table]  # schema.REJECTS

    @property
    def num_images(self) -> int:
        return sum(table.num_rows for table in (*self.rows.values(), *self.rejects.values()))

    def reasons(self) -> Counter[str]:
        return Counter(
            reason for table in self.rejects.values() for reason in table[schema.REASON].to_pylist()
        )

    def known(self) -> pa.Table:
        """All images, as KNOWN."""
        found = [arrow.nothing(KNOWN)]
        for table in self.rows.values():
            status = arrow.repeat(_ROW, table.num_rows)
            found.append(_known(table, table[schema.KEY], status))
        for table in self.rejects.values():
            found.append(_known(table, table[schema.PATH], table[schema.REASON]))
        return pa.concat_tables(found)


def _known(table: pa.Table, keys: arrow.Column, status: arrow.Column) -> pa.Table:
    none = arrow.repeat(_NO_KEY, table.num_rows)
    return pa.table([keys, *(table[name] for name in _SEEN), status, none], schema=KNOWN)


def read(output: str, standing: dict[str, Any]) -> Kept:
    """Read what the metrics `standing` at `output` name; nothing where they name nothing."""
    rows, rejects = standing.get("predictions", []), standing.get("rejects_files", [])
    return Kept(
        {name: _read(output, name, [schema.KEY, *_SEEN]) for name in rows},
        {name: _read(output, name, None) for name in rejects},
    )


def without(kept: Kept, keys: pa.ChunkedArray, output: str, run: str) -> Kept:
    """Leave out the images with these keys: a file that holds some of them is written anew."""
    return Kept(
        _without(kept.rows, schema.KEY, keys, output, run),
        _without(kept.rejects, schema.PATH, keys, output, run),
    )


def _without(
    files: dict[str, pa.Table], key: str, keys: pa.ChunkedArray, output: str, run: str
) -> dict[str, pa.Table]:
    stays: dict[str, pa.Table] = {}
    for name, table in files.items():
        mask = ~arrow.is_in(table[key], keys)
        if mask.all():
            stays[name] = table
        elif mask.any():
            # Two runs may have files of one name.
            _, old, base = name.split("/")
            anew = storage.join(PREDICTIONS, run, f"{base.partition('.')[0]}-of-{old}.parquet")
            storage.write_table(
                storage.join(output, anew), arrow.where(_read(output, name, None), mask)
            )
            stays[anew] = arrow.where(table, mask)
    return stays


def _read(output: str, name: str, names: Any) -> pa.Table:
    return storage.read_table(storage.join(output, name), names)
