"""Selected rows for the report: confident mistakes, the least certain rows, and right answers."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Sequence
from typing import Any, NamedTuple, Protocol, TypeVar

import numpy as np
import numpy.typing as npt

MAX_EXAMPLES = 48  # mistakes, and least certain rows
MAX_RIGHT = 12


class PredictedRow(Protocol):
    """What rows are selected by."""

    @property
    def key(self) -> str: ...
    @property
    def probability(self) -> float: ...
    @property
    def margin(self) -> float: ...


Row = TypeVar("Row", bound=PredictedRow)


class Example(NamedTuple):
    """A row with a known label."""

    key: str
    label: str
    prediction: str
    probability: float  # of the prediction
    margin: float  # by which the prediction won; between two classes, the distance to the threshold
    pixels: npt.NDArray[np.uint8]  # (H, W, C)


class Examples(NamedTuple):
    """At most MAX_EXAMPLES of each kind, and MAX_RIGHT right answers; add two with `+`.

    Right answers are those with the lowest hash of the key: a sample that does not depend on the
    order of rows or on how rows are split into files.
    """

    mistakes: tuple[Example, ...] = ()  # the most confident first
    least_certain: tuple[Example, ...] = ()  # the smallest margin first, right or wrong
    right: tuple[Example, ...] = ()

    def __add__(self, other: Any) -> Examples:
        return Examples(
            take_most_confident((*self.mistakes, *other.mistakes), MAX_EXAMPLES),
            take_least_certain((*self.least_certain, *other.least_certain), MAX_EXAMPLES),
            _take_lowest_hashes((*self.right, *other.right)),
        )


def select_examples(
    keys: Sequence[str],
    label_ids: npt.NDArray[Any],
    predictions: npt.NDArray[Any],
    probabilities: npt.NDArray[np.float32],
    pixels: npt.NDArray[np.uint8],
    labels: Sequence[str],
    threshold: float,
) -> Examples:
    """Select examples from rows.

    Args:
        keys: N.
        label_ids, predictions: (N,) integers.
        probabilities: (N, classes) float32.
        pixels: (N, H, W, C) uint8.
        labels: the classes, in the order of their ids.
        threshold: between two classes; not used for more.
    """
    certainty = probabilities[np.arange(len(predictions)), predictions]
    margins = predicted_margins(probabilities, threshold)

    def build_example(row: int) -> Example:
        return Example(
            keys[row],
            labels[label_ids[row]],
            labels[predictions[row]],
            float(certainty[row]),
            float(margins[row]),
            pixels[row],
        )

    wrong = np.flatnonzero(label_ids != predictions)
    mistakes = map(build_example, wrong[lowest_indices(-certainty[wrong], MAX_EXAMPLES)])
    least_certain = map(build_example, lowest_indices(margins, MAX_EXAMPLES))
    rows = np.flatnonzero(label_ids == predictions)
    hashes = np.fromiter((hash_key(keys[row]) for row in rows), np.uint64, len(rows))
    right = map(build_example, rows[lowest_indices(hashes, MAX_RIGHT)])
    return Examples(
        take_most_confident(mistakes, MAX_EXAMPLES),
        take_least_certain(least_certain, MAX_EXAMPLES),
        _take_lowest_hashes(right),
    )


def hash_key(key: str) -> int:
    """Return a hash of 64 bits, by which rows are sampled."""
    return int.from_bytes(hashlib.blake2b(key.encode(), digest_size=8).digest(), "big")


def _take_lowest_hashes(rows: Iterable[Example]) -> tuple[Example, ...]:
    return tuple(sorted(rows, key=lambda row: (hash_key(row.key), row.key))[:MAX_RIGHT])


def predicted_margins(probabilities: npt.NDArray[np.float32], threshold: float) -> npt.NDArray[Any]:
    """Return by how much each prediction won, as in Example.

    Args:
        probabilities: (N, classes) float32.
        threshold: between two classes; not used for more.
    """
    if probabilities.shape[1] == 2:
        return np.asarray(np.abs(probabilities[:, 1].astype(np.float64) - threshold))
    top_two = np.partition(probabilities, -2, axis=1)[:, -2:]
    return np.asarray(top_two[:, 1] - top_two[:, 0])


def lowest_indices(values: npt.NDArray[Any], count: int) -> npt.NDArray[Any]:
    """Return the indices of the `count` lowest values, and of all ties with the last one."""
    if len(values) <= count:
        return np.arange(len(values))
    return np.flatnonzero(values <= np.partition(values, count - 1)[count - 1])


def take_most_confident(rows: Iterable[Row], count: int) -> tuple[Row, ...]:
    """Return the first `count` rows by probability, the highest first, and key."""
    return tuple(sorted(rows, key=lambda row: (-row.probability, row.key))[:count])


def take_least_certain(rows: Iterable[Row], count: int) -> tuple[Row, ...]:
    """Return the first `count` rows by margin, the smallest first, and key."""
    return tuple(sorted(rows, key=lambda row: (row.margin, row.key))[:count])
