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

_READ = [schema.KEY, schema.LABEL, schema.PREDICTION]

# Rows by (label, the champion's prediction, the challenger's), each by number.
Cells = Counter[tuple[int, int, int]]


class Pairs(NamedTuple):
    """Cells of all rows, and of those that the champion's own test had."""

    rows: Cells
    known: Cells


def read(
    champion: str,
    champion_metrics: Mapping[str, Any],
    challenger: str,
    challenger_metrics: Mapping[str, Any],
    known: Collection[str],
) -> Pairs:
    """Count what both predicted.

    Args:
        champion, challenger: folders of scores of the same split of one dataset.
        known: keys of the rows that the champion's own test had.

    Raises:
        RunError: the scores are not of the same rows.
    """
    labels = arrow.of_text(challenger_metrics["labels"])
    pairs = Pairs(Counter(), Counter())
    files = zip(champion_metrics["predictions"], challenger_metrics["predictions"])
    for one, other in files:
        ours, theirs = (
            storage.read_table(storage.join(root, file), _READ)
            for root, file in ((champion, one), (challenger, other))
        )
        if ours[schema.KEY] != theirs[schema.KEY]:
            raise RunError(
                f"{champion}/{one} and {challenger}/{other} are of different rows; remove both "
                "folders of scores, and run again"
            )
        codes = np.column_stack(
            [
                arrow.places(column, labels)
                for column in (
                    *(ours[schema.LABEL], ours[schema.PREDICTION]),
                    theirs[schema.PREDICTION],
                )
            ]
        )
        pairs.rows.update(_cells(codes))
        keys = ours[schema.KEY].to_pylist()
        is_known = np.fromiter((key in known for key in keys), bool, len(keys))
        pairs.known.update(_cells(codes[is_known]))
    return pairs


def keys(scores: str, metrics: Mapping[str, Any]) -> set[str]:
    """The keys of all rows that were scored."""
    return {
        key
        for file in metrics["predictions"]
        for key in storage.read_table(storage.join(scores, file), [schema.KEY])[
            schema.KEY
        ].to_pylist()
    }


def _cells(codes: npt.NDArray[np.int32]) -> dict[tuple[int, int, int], int]:
    distinct, counts = np.unique(codes, axis=0, return_counts=True)
    return {
        (int(label), int(one), int(other)): int(count)
        for (label, one, other), count in zip(distinct, counts)
    }
