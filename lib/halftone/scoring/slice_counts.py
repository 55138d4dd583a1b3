"""Count the rows of slices in Spark: pair predictions with a catalogue by key, and add up.

Predictions and catalogue may have hundreds of millions of rows. They are shuffled once, by their
keys; the driver gets a row for each slice, at most MAX_VALUES and three a column.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from functools import partial
from typing import Any, Optional

import numpy as np
import pyarrow as pa
from pyspark.sql import DataFrame, SparkSession

from halftone import arrow, storage
from halftone.dataset import schema
from halftone.errors import InputError, RunError
from halftone.listing import VALUE_ROWS, SliceTable
from halftone.metrics.model import SliceScores
from halftone.metrics.slices import KINDS, MAX_VALUES, NOT_LISTED, SliceCounts, build_column
from halftone.scoring.slice_plan import SlicePlan
from halftone.spark import actions, frames
from halftone.spark.actions import ActionProgress
from halftone.spark.frames import MAX_READ_TASKS

# Indices of classes, of a row whose label is known.
_PREDICTED = pa.schema(
    [
        pa.field(schema.KEY, pa.string()),
        pa.field(schema.LABEL, pa.int32()),
        pa.field(schema.PREDICTION, pa.int32()),
    ]
)
_UNITS = pa.schema([pa.field("unit", pa.string())])
_PARTITION_ROWS, _PARTITION_BYTES = 1_000_000, 64 * 2**20
_ERROR_KEY = ""  # of a row whose first value is an error; a table has no such path
# Codes of KINDS: a value, empty, not in the catalogue, other values.
_KIND = """CASE WHEN value IS NULL THEN 2 WHEN value = '' THEN 1
    WHEN value_rank <= {} THEN 0 ELSE 3 END"""
# A row is counted for the class that it has, and for the one that is predicted.
_CLASS_PARTS = """explode(array(
    struct(label AS class, IF(label IS NULL, 0L, num) AS support,
        IF(label = prediction, num, 0L) AS hits, 0L AS predicted),
    struct(prediction AS class, 0L AS support, 0L AS hits,
        IF(label IS NULL, 0L, num) AS predicted))) AS part"""


def compute_slices(
    session: SparkSession,
    plan: SlicePlan,
    files: Sequence[str],
    labels: Sequence[str],
    num_rows: int,
    num_correct: int,
    max_values: int = MAX_VALUES,
) -> SliceScores:
    """Return the metrics by the columns of a plan.

    Args:
        files: URLs of predictions.
        labels: the classes, in the order of their ids.
        num_rows: rows whose label is known.
        num_correct: those of them that are predicted correctly.
        max_values: of each column, that have a slice of their own.

    Raises:
        InputError: the catalogue has different values for a path, has none of the images, or
            cannot be read.
        RunError: rows were lost; this must never happen.
    """
    table = plan.table
    cells = _count_cells(_pair_by_key(session, table, files, labels, num_rows), len(table.columns))
    progress = ActionProgress("slices", f"count rows by {', '.join(table.columns)}")
    rows = actions.collect_rows(_sum_slices(_rank_values(cells), max_values), progress)
    _check_problems(table, rows)
    columns = []
    for number, column in enumerate(table.columns):
        slices = [row for row in rows if row.number == number and row.support]
        counts = [_slice_counts(row, labels) for row in slices]
        totals = sum(each.rows for each in counts), sum(each.correct for each in counts)
        if totals != (num_rows, num_correct):
            raise RunError(
                f"slices by {column} have {totals[0]} rows, {totals[1]} of them correct, and there "
                f"are {num_rows} and {num_correct}; this is a bug. Nothing was published; report it"
            )
        if {each.kind for each in counts} == {NOT_LISTED}:
            raise InputError(
                f"{table.url}: has none of the {num_rows:,} scored images; its paths must be "
                f"relative to {table.root}, or absolute. Check score.slice_catalogue"
            )
        num_values = max((row.value_rank for row in slices if row.kind in (0, 3)), default=0)
        columns.append(build_column(column, counts, num_values, max_values))
    return SliceScores(catalogue=table.url, digest=plan.digest, rows=num_rows, columns=columns)


def _pair_by_key(
    session: SparkSession,
    table: SliceTable,
    files: Sequence[str],
    labels: Sequence[str],
    num_rows: int,
) -> DataFrame:
    """Return a row for each key: label and prediction, null of an image that was not scored, and
    the least and the greatest of its lists of values, null of one that is not in the table.

    This is a full outer join. Spark would give a join at least spark.sql.shuffle.partitions tasks,
    and shuffle both sides for itself.
    """
    urls = frames.create_url_frame(session, files)
    predicted = frames.expand_rows(urls, partial(_read_predictions, tuple(labels)), _PREDICTED)
    units = frames.build_table([(unit,) for unit in table.plan_units()], _UNITS)
    unit_frame = frames.create_frame(session, units, MAX_READ_TASKS)
    values = frames.expand_rows(unit_frame, partial(_read_values, table), VALUE_ROWS)
    values = values.selectExpr(schema.KEY, "`values` AS least", "`values` AS greatest")
    rows = predicted.unionByName(values, allowMissingColumns=True)
    num_partitions = 1 + num_rows // _PARTITION_ROWS + table.size_bytes // _PARTITION_BYTES
    rows = rows.repartition(num_partitions, schema.KEY)
    functions = {"label": "max", "prediction": "max", "least": "min", "greatest": "max"}
    return _aggregate(rows, [schema.KEY], functions)


def _read_predictions(labels: Sequence[str], url: str) -> Iterator[pa.Table]:
    """Yield _PREDICTED of a file; runs in a worker."""
    table = storage.read_table(url, [schema.KEY, schema.LABEL, schema.PREDICTION])
    names = arrow.string_array(labels)
    label_ids, predictions = (
        arrow.index_in(table[name], names) for name in (schema.LABEL, schema.PREDICTION)
    )
    is_known = np.flatnonzero(label_ids >= 0)
    columns = [
        arrow.take_rows(table.select([schema.KEY]), is_known)[schema.KEY],
        *(arrow.number_array(ids[is_known], pa.int32()) for ids in (label_ids, predictions)),
    ]
    yield from arrow.iter_slices(pa.table(columns, schema=_PREDICTED))


def _read_values(table: SliceTable, unit: str) -> Iterator[pa.Table]:
    """Yield VALUE_ROWS of a unit, or a row with the error; runs in a worker."""
    try:
        yield from table.read_unit(unit)
    except InputError as error:
        yield frames.build_table([(_ERROR_KEY, [str(error)])], VALUE_ROWS)


def _count_cells(pairs: DataFrame, num_columns: int) -> DataFrame:
    """Return `num`, the rows of each column (`number`), value, label and prediction.

    The least `problem` of any of them is a row that shows what is wrong with the table.
    """
    problem = f"key = '{_ERROR_KEY}' OR least <> greatest"
    rows = pairs.selectExpr(
        "label",
        "prediction",
        "1L AS num",
        f"IF({problem}, struct(key, least, greatest), NULL) AS problem",
        f"posexplode(coalesce(least, array_repeat(CAST(NULL AS STRING), {num_columns})))"
        " AS (number, value)",
    )
    by = ["number", "value", "label", "prediction"]
    return _aggregate(rows, by, {"num": "sum", "problem": "min"})


def _rank_values(cells: DataFrame) -> DataFrame:
    """Add `value_rows`, and `value_rank` of the values of a column: 1 has the most rows."""
    labelled = cells.selectExpr(
        "*",
        "sum(IF(label IS NULL, 0L, num)) OVER (PARTITION BY number, value) AS value_rows",
    )
    return labelled.selectExpr(
        "*",
        "dense_rank() OVER (PARTITION BY number ORDER BY (value IS NULL OR value = ''), "
        "value_rows DESC, value) AS value_rank",
    )


def _sum_slices(ranked: DataFrame, max_values: int) -> DataFrame:
    """Return a row for each slice: its rows and hits, F1, and the class with the lowest recall."""
    parts = ranked.selectExpr(
        "number",
        f"{_KIND.format(max_values)} AS kind",
        f"IF(value <> '' AND value_rank <= {max_values}, value, NULL) AS value",
        "IF(value_rows > 0, value_rank, 0) AS value_rank",
        "problem",
        _CLASS_PARTS,
    ).selectExpr("number", "kind", "value", "value_rank", "problem", "part.*")
    by_slice = ["number", "kind", "value"]
    sums = dict.fromkeys(("support", "hits", "predicted"), "sum")
    either = {"value_rank": "max", "problem": "min"}
    classes = _aggregate(parts, [*by_slice, "class"], {**sums, **either}).selectExpr(
        *(*by_slice, "support", "hits", *either),
        "IF(support + predicted > 0, 2 * hits / (support + predicted), NULL) AS mean_f1",
        "IF(class = 1, 2 * hits / (support + predicted), NULL) AS second_f1",
        "IF(support > 0, struct(hits / support AS recall, class, support), NULL) AS worst",
    )
    functions = {"support": "sum", "hits": "sum", "mean_f1": "avg", "second_f1": "max"}
    slices = _aggregate(classes, by_slice, {**functions, "worst": "min", **either})
    return slices.selectExpr(
        *(*by_slice, *functions, "value_rank"),
        *("worst.recall AS worst_recall", "worst.class AS worst_class"),
        *("worst.support AS worst_rows", "problem.key AS problem_key"),
        *("problem.least AS problem_least", "problem.greatest AS problem_greatest"),
    )


def _aggregate(frame: DataFrame, by: Sequence[str], functions: dict[str, str]) -> DataFrame:
    """Aggregate columns, each by a function, under their own names."""
    aggregated = frame.groupBy(*by).agg(functions)
    columns = (f"`{function}({name})` AS `{name}`" for name, function in functions.items())
    return aggregated.selectExpr(*by, *columns)


def _check_problems(table: SliceTable, rows: Sequence[Any]) -> None:
    """Raise InputError if the table cannot be read, or has different values for a path."""
    problems = [row for row in rows if row.problem_key is not None]
    if not problems:
        return
    first = min(problems, key=lambda row: row.problem_key)
    if first.problem_key == _ERROR_KEY:
        raise InputError(first.problem_least[0])
    pairs = zip(table.columns, first.problem_least, first.problem_greatest)
    column, one, other = next(pair for pair in pairs if pair[1] != pair[2])
    raise InputError(
        f"{table.url}: has {first.problem_key} more than once, with the values {one!r} and "
        f"{other!r} in the column {column}; keep one of them"
    )


def _slice_counts(row: Any, labels: Sequence[str]) -> SliceCounts:
    kind = KINDS[row.kind]
    # A mean depends on the order of its summands, in the last digits.
    f1 = round(row.mean_f1, 12)
    if len(labels) == 2:
        second: Optional[float] = row.second_f1
        f1 = second or 0.0
    return SliceCounts(
        kind=kind,
        value=row.value,
        rows=row.support,
        correct=row.hits,
        f1=f1,
        worst_label=labels[row.worst_class],
        worst_recall=row.worst_recall,
        worst_rows=row.worst_rows,
    )
