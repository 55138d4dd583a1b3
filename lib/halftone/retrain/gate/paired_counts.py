"""Count pairs of predictions on the same rows, the input of a paired comparison."""

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

# Number of rows by (label, champion's prediction, challenger's prediction), as class indices.
CellCounts = Counter[tuple[int, int, int]]


class PairedCounts(NamedTuple):
    """Counts of all rows, and of the rows of the champion's own test."""

    rows: CellCounts
    known_rows: CellCounts


def count_pairs(
    champion: str,
    champion_metrics: Mapping[str, Any],
    challenger: str,
    challenger_metrics: Mapping[str, Any],
    known_keys: Collection[str],
) -> PairedCounts:
    """Count the predictions of both models.

    Args:
        champion, challenger: folders of scores of the same split of one dataset.
        champion_metrics, challenger_metrics: their metrics.json.
        known_keys: keys of the rows of the champion's own test.

    Raises:
        RunError: the scores are not of the same rows.
    """
    labels = arrow.string_array(challenger_metrics["labels"])
    pairs = PairedCounts(Counter(), Counter())
    files = zip(champion_metrics["predictions"], challenger_metrics["predictions"])
    for champion_file, challenger_file in files:
        champion_rows, challenger_rows = (
            storage.read_table(storage.join(root, file), _COLUMNS)
            for root, file in ((champion, champion_file), (challenger, challenger_file))
        )
        if champion_rows[schema.KEY] != challenger_rows[schema.KEY]:
            raise RunError(
                f"{champion}/{champion_file} and {challenger}/{challenger_file} contain different "
                "rows; remove both folders of scores, and run again"
            )
        codes = np.column_stack(
            [
                arrow.index_in(column, labels)
                for column in (
                    champion_rows[schema.LABEL],
                    champion_rows[schema.PREDICTION],
                    challenger_rows[schema.PREDICTION],
                )
            ]
        )
        pairs.rows.update(_count_cells(codes))
        keys = champion_rows[schema.KEY].to_pylist()
        is_known = np.fromiter((key in known_keys for key in keys), bool, len(keys))
        pairs.known_rows.update(_count_cells(codes[is_known]))
    return pairs


def read_keys(scores: str, metrics: Mapping[str, Any]) -> set[str]:
    """Return the keys of all rows that were scored."""
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
        (int(label), int(champion), int(challenger)): int(count)
        for (label, champion, challenger), count in zip(distinct, counts)
    }
