"""Sort all rows by how probably their label is wrong, and write them to Parquet files, in Spark.

A worker judges the rows of a file of predictions; Spark sorts them by ranges, one for each file of
the result; and when the number of rows of each file is known, workers add the ranks.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from functools import partial
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa
from pyspark.sql import DataFrame, SparkSession

from halftone import arrow, storage
from halftone.dataset import schema
from halftone.label_errors import confident_joint
from halftone.label_errors.prediction_files import FOLD, SHARD, read_predictions
from halftone.listing import SUGGESTED_LABEL
from halftone.spark.actions import ActionProgress, collect_rows
from halftone.spark.frames import (
    build_table,
    create_frame,
    expand_rows,
    map_rows,
    map_tables,
    partition_number,
)

LABEL_PROBABILITY, SUGGESTED_PROBABILITY = "label_probability", "suggested_probability"
MARGIN, RANK, IS_CONFIDENT = "margin", "rank", "is_confident"
ROW = "row"
ROWS_PER_FILE = 1 << 18
_ROWS_PER_ROW_GROUP = 1 << 14  # the first one is read for the page

# The result: a row for each image with an out-of-fold prediction.
LABEL_ERRORS = pa.schema(
    [
        pa.field(schema.KEY, pa.string()),
        pa.field(schema.LABEL, pa.string()),
        pa.field(SUGGESTED_LABEL, pa.string()),  # the most probable class besides the label
        pa.field(LABEL_PROBABILITY, pa.float32()),
        pa.field(SUGGESTED_PROBABILITY, pa.float32()),
        pa.field(MARGIN, pa.float64()),  # their difference
        pa.field(RANK, pa.int64()),  # from 1, by label_probability, the lowest first
        pa.field(IS_CONFIDENT, pa.bool_()),  # whether it is a confident issue
        pa.field(FOLD, pa.int32()),  # whose model, which has not seen the image, gave them
    ]
)
# The same without ranks, and where the image is: row of a shard of the fold's validation split.
JUDGED = pa.schema(
    [
        *(field for field in LABEL_ERRORS if field.name != RANK),
        pa.field(SHARD, pa.int32()),
        pa.field(ROW, pa.int64()),
    ]
)
_PARTS = pa.schema([pa.field("part", pa.int32()), pa.field("rows", pa.int64())])
_RANKED_PARTS = pa.schema(
    [
        pa.field("source", pa.string()),  # URL of a file of JUDGED
        pa.field("target", pa.string()),  # URL of the file of LABEL_ERRORS
        pa.field("first_rank", pa.int64()),
    ]
)


def judge_files(
    files: DataFrame, labels: Sequence[str], thresholds: npt.NDArray[np.float64]
) -> DataFrame:
    """Return JUDGED of all rows, in no order.

    Args:
        files: PREDICTION_FILES.
        labels: all K classes.
        thresholds: (K,) see `confident_joint.class_thresholds`.
    """
    return expand_rows(files, partial(judge_file, tuple(labels), thresholds), JUDGED)


def judge_file(
    labels: tuple[str, ...],
    thresholds: npt.NDArray[np.float64],
    fold: int,
    shard: int,
    url: str,
) -> Iterator[pa.Table]:
    """Yield JUDGED of a file of predictions."""
    keys, label_ids, probabilities = read_predictions(url, labels)
    judged = confident_joint.judge_rows(label_ids, probabilities, thresholds)
    names = np.array(labels, object)
    num_rows = len(label_ids)
    values: dict[str, Any] = {
        schema.LABEL: names[label_ids].tolist(),
        SUGGESTED_LABEL: names[judged.suggested].tolist(),
        LABEL_PROBABILITY: judged.label_probability,
        SUGGESTED_PROBABILITY: judged.suggested_probability,
        MARGIN: judged.margin,
        IS_CONFIDENT: judged.is_issue,
        FOLD: np.full(num_rows, fold),
        SHARD: np.full(num_rows, shard),
        ROW: np.arange(num_rows),
    }
    columns = [
        keys if field.name == schema.KEY else arrow.make_array(values[field.name], field.type)
        for field in JUDGED
    ]
    yield pa.table(columns, schema=JUDGED)


def write_sorted(judged: DataFrame, num_rows: int, folder: str) -> list[tuple[str, int]]:
    """Write JUDGED rows to files in the order of their ranks.

    They are sorted by the probability of their label ("self-confidence" in confident learning),
    then by margin and key, so equal rows give equal files.

    Args:
        judged: all rows.
        num_rows: their number.
        folder: URL of the folder of the files.

    Returns:
        URL and number of rows of each file.
    """
    order = (LABEL_PROBABILITY, MARGIN, schema.KEY)
    num_parts = max(1, -(-num_rows // ROWS_PER_FILE))
    # A single partition needs no samples of the values.
    parts = (
        judged.repartition(1) if num_parts == 1 else judged.repartitionByRange(num_parts, *order)
    )
    written = map_tables(parts.sortWithinPartitions(*order), partial(_write_part, folder), _PARTS)
    progress = ActionProgress("label errors", "sort all rows by the probability of their label")
    rows = sorted((row.part, row.rows) for row in collect_rows(written, progress))
    return [(_part_url(folder, part), count) for part, count in rows]


def _part_url(folder: str, part: int) -> str:
    return storage.join(folder, f"{part:05d}.parquet")


def _write_part(folder: str, tables: Iterator[pa.Table]) -> Iterator[pa.Table]:
    part, rows = partition_number(), arrow.concat_tables(tables, JUDGED)
    if rows.num_rows:
        storage.write_table(_part_url(folder, part), rows, _ROWS_PER_ROW_GROUP)
        yield build_table([(part, rows.num_rows)], _PARTS)


def write_ranks(
    spark: SparkSession, sources: Sequence[tuple[str, int]], targets: Sequence[str]
) -> None:
    """Write LABEL_ERRORS of each file of JUDGED, with ranks.

    Args:
        sources: URL and number of rows of each file, in the order of the ranks.
        targets: URLs of the files to write.
    """
    rows: list[tuple[str, str, int]] = []
    first_rank = 1
    for (source, count), target in zip(sources, targets):
        rows.append((source, target, first_rank))
        first_rank += count
    frame = create_frame(spark, build_table(rows, _RANKED_PARTS), len(rows))
    progress = ActionProgress("label errors", "add ranks")
    collect_rows(map_rows(frame, _rank_part, _PARTS), progress)


def _rank_part(source: str, target: str, first_rank: int) -> list[tuple[int, int]]:
    rows = storage.read_table(source)
    ranks = arrow.number_array(np.arange(first_rank, first_rank + rows.num_rows), pa.int64())
    columns = [ranks if name == RANK else rows[name] for name in LABEL_ERRORS.names]
    storage.write_table(target, pa.table(columns, schema=LABEL_ERRORS), _ROWS_PER_ROW_GROUP)
    return []


def read_first(url: str, count: int) -> pa.Table:
    """Return the first rows of a file of JUDGED, at most `count`."""
    return storage.read_row_group(url, 0).slice(0, count)
