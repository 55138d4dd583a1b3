"""Metrics of slices: the rows that have the same value in a column of a catalogue."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Final, NamedTuple, Optional

from halftone.metrics.model import ColumnSlices, SliceClass, SliceKind, SliceMetrics
from halftone.metrics.summarise import wilson_interval

# Of each column the values with the most rows have a slice of their own. Others are counted
# together.
MAX_VALUES: Final = 1000

VALUE: Final = "value"
EMPTY: Final = "empty"
NOT_LISTED: Final = "not in the catalogue"
OTHERS: Final = "other values"
# In the order of their codes in tables.
KINDS: Final[tuple[SliceKind, ...]] = (VALUE, EMPTY, NOT_LISTED, OTHERS)


class SliceCounts(NamedTuple):
    """What is counted of the rows of a slice."""

    kind: SliceKind
    value: Optional[str]  # None if the kind is not VALUE
    rows: int
    correct: int
    f1: float
    worst_label: str  # of the class with the lowest recall
    worst_recall: float
    worst_rows: int


def build_column(
    column: str, counts: Iterable[SliceCounts], num_values: int, max_values: int = MAX_VALUES
) -> ColumnSlices:
    """Return the slices of a column, the worst first.

    They are sorted by the upper end of the interval of the accuracy, the lowest first: a slice is
    bad as far as its rows prove it. With 1 of 2 rows correct that end is 0.91, so such a slice
    comes behind one with 600 of 1,000, whose end is 0.63. Slices with the same end are sorted by
    their rows, the most first. OTHERS, which is no slice of one value, comes last.

    Args:
        counts: of each slice that has rows.
        num_values: different values that rows have.
        max_values: those that have a slice of their own.
    """
    slices = [_build_slice(each, num_values - max_values) for each in counts]
    return ColumnSlices(column=column, num_values=num_values, slices=sorted(slices, key=_order))


def _build_slice(counts: SliceCounts, num_others: int) -> SliceMetrics:
    return SliceMetrics(
        kind=counts.kind,
        value=counts.value,
        num_values=num_others if counts.kind == OTHERS else 1,
        rows=counts.rows,
        correct=counts.correct,
        accuracy=counts.correct / counts.rows,
        interval=wilson_interval(counts.correct, counts.rows),
        f1=counts.f1,
        worst_class=SliceClass(
            label=counts.worst_label, recall=counts.worst_recall, rows=counts.worst_rows
        ),
    )


def _order(each: SliceMetrics) -> tuple[bool, float, int, str]:
    return each.kind == OTHERS, each.interval[1], -each.rows, each.title
