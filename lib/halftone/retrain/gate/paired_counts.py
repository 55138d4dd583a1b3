"""What two models say of the same rows, counted: all that a paired comparison needs."""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Mapping
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from halftone import arrow, storage
from halftone.dataset import schema
from halftone.errors import RunError

_COLUMNS = [schema.KEY, schema.LABEL, schema.PREDICTION]

# Rows by (label, the champion's prediction, the challenger's), each by number.
CellCounts = Counter[tuple[int, int, int]]


class PairedCounts(NamedTuple):
    """Cells of all rows, and of those that the champion's own test had."""

    rows: CellCounts
    known_rows: CellCounts


def count_pairs(
    champion: str,
    champion_metrics: Mapping[str, Any],
    challenger: str,
    challenger_metrics: Mapping[str, Any],
    known_keys: Collection[str],
) -> PairedCounts:
    """Count what both predicted.

    Args:
        champion, challenger: folders of scores of the same split of one dataset.
        known: keys of the rows that the champion's own test had.

    Raises:
        RunError: the scores are not of the same rows.
    """
    labels = arrow.string_array(challenger_metrics["labels"])
    pairs = PairedCounts(Counter(), Counter())
    files = zip(champion_metrics["predictions"], challenger_metrics["predictions"])
    for one, other in files:
        ours, theirs = (
            storage.read_table(storage.join(root, file), _COLUMNS)
            for root, file in ((champion, one), (challenger, other))
        )
        if ours[schema.KEY] != theirs[schema.KEY]:
            raise RunError(
                f"{champion}/{one} and {challenger}/{other} are of different rows; remove both "
                "folders of scores, and run again"
            )
        codes = np.column_stack(
            [
                arrow.index_in(column, labels)
                for column in (
                    *(ours[schema.LABEL], ours[schema.PREDICTION]),
                    theirs[schema.PREDICTION],
                )
            ]
        )
        pairs.rows.update(_count_cells(codes))
        keys = ours[schema.KEY].to_pylist()
        is_known = np.fromiter((key in known_keys for key in keys), bool, len(keys))
        pairs.known_rows.update(_count_cells(codes[is_known]))
    return pairs


def read_keys(scores: str, metrics: Mapping[str, Any]) -> set[str]:
    """The keys of all rows that were scored."""
    return {
        key
        for file in metrics["predictions"]
        for key in storage.read_table(storage.join(scores, file), [schema.KEY])[
            schema.KEY
        ].to_pylist()
    }


def _count_cells(codes: npt.NDArray[np.int32]) -> dict[tuple[int, int, int], int]:
    distinct, counts = np.unique(codes, axis=0, return_counts=True)
    return {
        (int(label), int(one), int(other)): int(count)
        for (label, one, other), count in zip(distinct, counts)
    }
