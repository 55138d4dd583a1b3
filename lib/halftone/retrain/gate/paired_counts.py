"""Count pairs of predictions on the same rows, the input of a paired comparison."""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Iterable, Sequence
from typing import NamedTuple

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
    labels: Sequence[str],
    champion_files: Sequence[str],
    challenger_files: Sequence[str],
    known_keys: Collection[str],
) -> PairedCounts:
    """Count the predictions of both models.

    Args:
        labels: the classes of both models.
        champion_files, challenger_files: URLs of the predictions of the same split of one dataset,
            one file per shard.
        known_keys: keys of the rows of the champion's own test.

    Raises:
        RunError: the scores are not of the same rows.
    """
    class_names = arrow.string_array(labels)
    pairs = PairedCounts(Counter(), Counter())
    for champion_file, challenger_file in zip(champion_files, challenger_files):
        champion_rows, challenger_rows = (
            storage.read_table(url, _COLUMNS) for url in (champion_file, challenger_file)
        )
        if champion_rows[schema.KEY] != challenger_rows[schema.KEY]:
            raise different_rows_error(champion_file, challenger_file)
        codes = np.column_stack(
            [
                arrow.index_in(column, class_names)
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


def different_rows_error(champion_file: str, challenger_file: str) -> RunError:
    return RunError(
        f"{champion_file} and {challenger_file} contain different rows; remove both folders of "
        "scores, and run again"
    )


def read_keys(files: Iterable[str]) -> set[str]:
    """Return the keys of all rows in files of predictions."""
    tables = (storage.read_table(url, [schema.KEY]) for url in files)
    return {key for table in tables for key in table[schema.KEY].to_pylist()}


def _count_cells(codes: npt.NDArray[np.int32]) -> dict[tuple[int, int, int], int]:
    distinct, counts = np.unique(codes, axis=0, return_counts=True)
    return {
        (int(label), int(champion), int(challenger)): int(count)
        for (label, champion, challenger), count in zip(distinct, counts)
    }
