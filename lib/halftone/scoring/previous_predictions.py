"""Predictions of raw images by an earlier run that are kept."""

from __future__ import annotations

from collections import Counter
from typing import NamedTuple, Optional

import pyarrow as pa
import pyarrow.compute as pc

from halftone import arrow, storage
from halftone.dataset import schema
from halftone.metrics.model import ImageScores
from halftone.preprocess.changes import KNOWN_IMAGES, ROW
from halftone.scoring import scores_directory
from halftone.scoring.scores_directory import PREDICTIONS

_FILE_COLUMNS = [schema.SIZE_BYTES, schema.MODIFIED]
_ROW, _EMPTY = arrow.string_array([ROW]), arrow.string_array([""])
_SPLIT = arrow.number_array([0], pa.int8())  # as in the listing: there are no splits


class PreviousPredictions(NamedTuple):
    """Tables by the path of their file below the scores directory."""

    predictions: dict[str, pa.Table]  # schema.KEY, _FILE_COLUMNS and schema.LABEL
    rejects: dict[str, pa.Table]  # schema.REJECTS

    @property
    def num_images(self) -> int:
        return sum(table.num_rows for table in (*self.predictions.values(), *self.rejects.values()))

    def count_by_reason(self) -> Counter[str]:
        return Counter(
            reason for table in self.rejects.values() for reason in table[schema.REASON].to_pylist()
        )

    def known_images(self) -> pa.Table:
        """Return all images, as changes.KNOWN_IMAGES."""
        tables = [arrow.empty_table(KNOWN_IMAGES)]
        for table in self.predictions.values():
            status = arrow.repeat_value(_ROW, table.num_rows)
            labels = pc.fill_null(table[schema.LABEL], _EMPTY[0])
            tables.append(_known_table(table, table[schema.KEY], labels, status))
        for table in self.rejects.values():
            labels = arrow.repeat_value(_EMPTY, table.num_rows)
            tables.append(_known_table(table, table[schema.PATH], labels, table[schema.REASON]))
        return pa.concat_tables(tables)


def _known_table(
    table: pa.Table, keys: arrow.Column, labels: arrow.Column, status: arrow.Column
) -> pa.Table:
    split = arrow.repeat_value(_SPLIT, table.num_rows)
    kept_keys = arrow.repeat_value(_EMPTY, table.num_rows)
    files = [table[name] for name in _FILE_COLUMNS]
    return pa.table([keys, *files, labels, split, status, kept_keys], schema=KNOWN_IMAGES)


def read_previous_predictions(output: str, scores: Optional[ImageScores]) -> PreviousPredictions:
    """Read the files that the `scores` at `output` name; none if there are no scores.

    Files that are missing or damaged are left out, so their images count as new ones.
    """
    if scores is None:
        return PreviousPredictions({}, {})
    columns = [schema.KEY, *_FILE_COLUMNS, schema.LABEL]
    predictions, rejects = (
        [
            name
            for name, rows in zip(names, scores_directory.count_rows(output, names))
            if rows is not None
        ]
        for names in (scores.predictions, scores.rejects_files)
    )
    return PreviousPredictions(
        {name: _read_columns(output, name, columns) for name in predictions},
        {name: _read_columns(output, name) for name in rejects},
    )


def drop_images(
    previous: PreviousPredictions, keys: pa.ChunkedArray, output: str, run: str
) -> PreviousPredictions:
    """Leave out the images with these keys: files that hold some of them are written again."""
    return PreviousPredictions(
        _drop_keys(previous.predictions, schema.KEY, keys, output, run),
        _drop_keys(previous.rejects, schema.PATH, keys, output, run),
    )


def _drop_keys(
    files: dict[str, pa.Table], key_column: str, keys: pa.ChunkedArray, output: str, run: str
) -> dict[str, pa.Table]:
    remaining: dict[str, pa.Table] = {}
    for path, table in files.items():
        mask = ~arrow.is_in(table[key_column], keys)
        if mask.all():
            remaining[path] = table
        elif mask.any():
            # Files of two runs may have the same name.
            _, old_run, name = path.split("/")
            new_path = storage.join(
                PREDICTIONS, run, f"{name.partition('.')[0]}-of-{old_run}.parquet"
            )
            storage.write_table(
                storage.join(output, new_path),
                arrow.filter_rows(_read_columns(output, path), mask),
            )
            remaining[new_path] = arrow.filter_rows(table, mask)
    return remaining


def _read_columns(output: str, path: str, columns: Optional[list[str]] = None) -> pa.Table:
    return storage.read_table(storage.join(output, path), columns)
