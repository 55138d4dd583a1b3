"""Predictions of raw images that an earlier run has made, and that stay."""

from __future__ import annotations

from collections import Counter
from typing import Any, NamedTuple

import pyarrow as pa

from halftone import arrow, storage
from halftone.dataset import schema
from halftone.preprocess.changes import KNOWN_IMAGES, ROW
from halftone.scoring.scores_directory import PREDICTIONS

_FILE_COLUMNS = [schema.SIZE_BYTES, schema.MODIFIED]
_ROW, _NO_KEY = arrow.string_array([ROW]), arrow.string_array([""])


class PreviousPredictions(NamedTuple):
    """Files, each by its path below the folder of scores, and what they say of their images."""

    predictions: dict[str, pa.Table]  # schema.KEY and _SEEN
    rejects: dict[str, pa.Table]  # schema.REJECTS

    @property
    def num_images(self) -> int:
        return sum(table.num_rows for table in (*self.predictions.values(), *self.rejects.values()))

    def count_by_reason(self) -> Counter[str]:
        return Counter(
            reason for table in self.rejects.values() for reason in table[schema.REASON].to_pylist()
        )

    def known_images(self) -> pa.Table:
        """All images, as KNOWN."""
        found = [arrow.empty_table(KNOWN_IMAGES)]
        for table in self.predictions.values():
            status = arrow.repeat_value(_ROW, table.num_rows)
            found.append(_known_table(table, table[schema.KEY], status))
        for table in self.rejects.values():
            found.append(_known_table(table, table[schema.PATH], table[schema.REASON]))
        return pa.concat_tables(found)


def _known_table(table: pa.Table, keys: arrow.Column, status: arrow.Column) -> pa.Table:
    none = arrow.repeat_value(_NO_KEY, table.num_rows)
    return pa.table(
        [keys, *(table[name] for name in _FILE_COLUMNS), status, none], schema=KNOWN_IMAGES
    )


def read_previous_predictions(output: str, previous_metrics: dict[str, Any]) -> PreviousPredictions:
    """Read what the metrics `standing` at `output` name; nothing where they name nothing."""
    rows, rejects = (
        previous_metrics.get("predictions", []),
        previous_metrics.get("rejects_files", []),
    )
    return PreviousPredictions(
        {name: _read_columns(output, name, [schema.KEY, *_FILE_COLUMNS]) for name in rows},
        {name: _read_columns(output, name, None) for name in rejects},
    )


def drop_images(
    previous: PreviousPredictions, keys: pa.ChunkedArray, output: str, run: str
) -> PreviousPredictions:
    """Leave out the images with these keys: a file that holds some of them is written anew."""
    return PreviousPredictions(
        _drop_keys(previous.predictions, schema.KEY, keys, output, run),
        _drop_keys(previous.rejects, schema.PATH, keys, output, run),
    )


def _drop_keys(
    files: dict[str, pa.Table], key_column: str, keys: pa.ChunkedArray, output: str, run: str
) -> dict[str, pa.Table]:
    stays: dict[str, pa.Table] = {}
    for name, table in files.items():
        mask = ~arrow.is_in(table[key_column], keys)
        if mask.all():
            stays[name] = table
        elif mask.any():
            # Two runs may have files of one name.
            _, old, base = name.split("/")
            anew = storage.join(PREDICTIONS, run, f"{base.partition('.')[0]}-of-{old}.parquet")
            storage.write_table(
                storage.join(output, anew),
                arrow.filter_rows(_read_columns(output, name, None), mask),
            )
            stays[anew] = arrow.filter_rows(table, mask)
    return stays


def _read_columns(output: str, name: str, column_names: Any) -> pa.Table:
    return storage.read_table(storage.join(output, name), column_names)
