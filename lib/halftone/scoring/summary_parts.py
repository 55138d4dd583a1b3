"""Summaries of predictions as rows of a DataFrame. Runs in Spark's Python workers.

A summary may have more than 100 MB. Spark moves rows in batches of up to 128, and Spark Connect
refuses a large one, so a summary is cut into several rows.
"""

from __future__ import annotations

import pickle
from collections.abc import Iterable, Iterator
from itertools import chain, groupby
from operator import itemgetter
from typing import Callable

import pyarrow as pa

from halftone import arrow
from halftone.scoring import predictions
from halftone.scoring.predictions import PredictionSummary

NUMBER, PART, DATA = "number", "part", "data"
SUMMARY_PARTS = pa.schema(
    [
        pa.field(NUMBER, pa.int32()),  # of the summary
        pa.field(PART, pa.int32()),  # number of the row among those of the summary
        pa.field(DATA, pa.binary()),  # a part of the pickled summary
    ]
)
_PART_BYTES = 2**20


def summarise_rows(
    function: Callable[..., PredictionSummary], tables: Iterable[pa.Table]
) -> Iterator[pa.Table]:
    """Summarise what a function does for each row of a partition; yield one summary, in parts.

    Args:
        function: gets the values of a row as keyword arguments.
        tables: the column NUMBER and others. The first number becomes that of the summary.
    """
    rows = (
        dict(zip(table.column_names, row))
        for table in tables
        for row in arrow.iter_rows(table, *table.column_names)
    )
    yield from merge_numbered((row[NUMBER], function(**row)) for row in rows)


def merge_parts(tables: Iterable[pa.Table]) -> Iterator[pa.Table]:
    """Merge the summaries of a partition of SUMMARY_PARTS, sorted by NUMBER and PART, into one."""
    rows = (row for table in tables for row in arrow.iter_rows(table, *SUMMARY_PARTS.names))
    yield from merge_numbered(join_parts(rows))


def merge_numbered(summaries: Iterator[tuple[int, PredictionSummary]]) -> Iterator[pa.Table]:
    """Add up summaries; yield the sum in parts, with the first number, or nothing for none."""
    first = next(summaries, None)
    if first is not None:
        number = first[0]
        merged = predictions.merge_summaries(summary for _, summary in chain([first], summaries))
        yield cut_summary(number, merged)


def cut_summary(number: int, summary: PredictionSummary) -> pa.Table:
    """Return a summary as SUMMARY_PARTS."""
    data = pickle.dumps(summary, pickle.HIGHEST_PROTOCOL)
    parts = [data[start : start + _PART_BYTES] for start in range(0, len(data), _PART_BYTES)]
    columns = [
        arrow.number_array([number] * len(parts), pa.int32()),
        arrow.number_array(range(len(parts)), pa.int32()),
        arrow.binary_array(parts),
    ]
    return pa.table(columns, schema=SUMMARY_PARTS)


def join_parts(rows: Iterable[tuple[int, int, bytes]]) -> Iterator[tuple[int, PredictionSummary]]:
    """Yield number and summary for rows of SUMMARY_PARTS, sorted by number and part."""
    for number, group in groupby(rows, key=itemgetter(0)):
        yield number, pickle.loads(b"".join(data for _, _, data in group))
