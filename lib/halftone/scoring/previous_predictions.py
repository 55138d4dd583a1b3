"""Files of an earlier scoring of raw images, and which of them are kept."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from functools import partial
from typing import NamedTuple, Optional

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from pyspark.sql import DataFrame, SparkSession

from halftone import arrow, storage
from halftone.dataset import schema
from halftone.metrics.model import ImageScores
from halftone.preprocess.change_notes import NoteCounts
from halftone.preprocess.entries import FILE, KEPT_KEY, KNOWN, ROW, STATUS
from halftone.preprocess.row_notes import ROW_NUMBER
from halftone.scoring import scores_directory
from halftone.scoring.image_task import KEPT_FILES
from halftone.spark.frames import MAX_READ_TASKS, build_table, create_frame, expand_rows

_FILES = pa.schema(
    [
        pa.field(FILE, pa.int32()),
        pa.field("url", pa.string()),
        pa.field("is_rejects", pa.bool_()),
    ]
)


class PreviousFile(NamedTuple):
    """A file of predictions or rejects."""

    path: str  # below the scores directory
    is_rejects: bool
    num_rows: int


class KeptFile(NamedTuple):
    """A file of which some rows are kept; a new file replaces it if others are left out."""

    source: PreviousFile
    path: str  # of the kept or the new file, below the scores directory
    notes: str  # URL of the ROW_NOTES, if it is a new file, else ""
    num_rows: int  # that are kept


def list_files(output: str, scores: Optional[ImageScores]) -> list[PreviousFile]:
    """Return the files that the `scores` at `output` name; none if there are no scores.

    Files that are missing or damaged are left out, so their images count as new ones.
    """
    if scores is None:
        return []
    return [
        PreviousFile(name, is_rejects, num_rows)
        for names, is_rejects in ((scores.predictions, False), (scores.rejects_files, True))
        for name, num_rows in zip(names, scores_directory.count_rows(output, names))
        if num_rows is not None
    ]


def read_known(session: SparkSession, output: str, files: Sequence[PreviousFile]) -> DataFrame:
    """Return the KNOWN images of files, which are numbered in this order."""
    rows = [
        (number, storage.join(output, file.path), file.is_rejects)
        for number, file in enumerate(files)
    ]
    frame = create_frame(session, build_table(rows, _FILES), MAX_READ_TASKS)
    return expand_rows(frame, read_known_file, KNOWN)


def read_known_file(file: int, url: str, is_rejects: bool) -> Iterator[pa.Table]:
    """Yield the KNOWN images of a file of predictions or rejects; runs in a worker."""
    key = schema.PATH if is_rejects else schema.KEY
    value = schema.REASON if is_rejects else schema.LABEL
    table = storage.read_table(url, [key, value, schema.SIZE_BYTES, schema.MODIFIED])
    repeat = partial(arrow.repeat_value, count=table.num_rows)
    empty = arrow.string_array([""])
    columns = {
        schema.KEY: table[key],
        schema.SIZE_BYTES: table[schema.SIZE_BYTES],
        schema.MODIFIED: table[schema.MODIFIED],
        schema.LABEL: repeat(empty) if is_rejects else pc.fill_null(table[value], empty[0]),
        schema.SPLIT: repeat(arrow.number_array([0], pa.int8())),  # as in the listing
        STATUS: table[value] if is_rejects else repeat(arrow.string_array([ROW])),
        KEPT_KEY: repeat(empty),
        FILE: repeat(arrow.number_array([file], pa.int32())),
        ROW_NUMBER: arrow.number_array(np.arange(table.num_rows), pa.int64()),
    }
    yield pa.table([columns[name] for name in KNOWN.names], schema=KNOWN)


def plan_kept_files(
    files: Sequence[PreviousFile], notes: Mapping[int, NoteCounts], run: str
) -> list[KeptFile]:
    """Return the files of which rows are kept.

    Args:
        notes: by the number of the file.
        run: name of this run, for the names of new files.
    """
    kept: list[KeptFile] = []
    for number, file in enumerate(files):
        num_dropped = notes[number].num_dropped if number in notes else 0
        if not num_dropped:
            kept.append(KeptFile(file, file.path, "", file.num_rows))
        elif num_dropped < file.num_rows:
            # Files of two runs may have the same name.
            folder, old_run, name = file.path.split("/")
            new_name = f"{name.partition('.')[0]}-of-{old_run}.parquet"
            path = storage.join(folder, run, new_name)
            kept.append(KeptFile(file, path, notes[number].url, file.num_rows - num_dropped))
    return kept


def kept_table(output: str, files: Sequence[KeptFile], first_number: int) -> pa.Table:
    """Return KEPT_FILES, numbered from `first_number`."""
    rows = [
        (
            first_number + index,
            storage.join(output, file.source.path),
            storage.join(output, file.path),
            file.notes,
            file.num_rows,
            file.source.is_rejects,
        )
        for index, file in enumerate(files)
    ]
    return build_table(rows, KEPT_FILES)
