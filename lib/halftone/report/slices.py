"""The slices of the scores: a table for each column of the catalogue, the worst slice first."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple, Optional

from halftone.metrics.model import SliceMetrics, SliceScores

# Of a column; metrics.json has all.
_MAX_SHOWN = 50


class SliceTableRows(NamedTuple):
    """The table of a column."""

    column: str
    num_values: int  # of the column
    num_slices: int
    shown: Sequence[SliceMetrics]  # the worst first


def list_slices(scores: Optional[SliceScores]) -> list[SliceTableRows]:
    """Return the table of each column; none if the scores have no slices."""
    if scores is None:
        return []
    return [
        SliceTableRows(
            column.column, column.num_values, len(column.slices), column.slices[:_MAX_SHOWN]
        )
        for column in scores.columns
    ]
