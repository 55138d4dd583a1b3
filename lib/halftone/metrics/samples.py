"""Selected rows of raw images, without pixels: some of each class, mistakes, the least certain."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any, NamedTuple, Optional

import numpy as np
import numpy.typing as npt

from halftone.metrics.accumulator import HISTOGRAM_BINS
from halftone.metrics.examples import (
    hash_key,
    lowest_indices,
    predicted_margins,
    take_least_certain,
    take_most_confident,
)

MAX_OF_CLASS = 12
MAX_SAMPLES = 24  # mistakes, and least certain rows


class SampledRow(NamedTuple):
    key: str
    label: Optional[str]  # None if it is not known
    prediction: str
    probability: float  # of the prediction
    margin: float  # as in Example


class Samples(NamedTuple):
    """Few rows of each kind, and the distribution of all; add two with `+`.

    The rows of a class are those with the lowest hash of the key, so they do not depend on the
    order of rows or on how rows are split into files.
    """

    by_class: tuple[SampledRow, ...] = ()  # at most MAX_OF_CLASS of each predicted class
    mistakes: tuple[SampledRow, ...] = ()  # the most confident first
    least_certain: tuple[SampledRow, ...] = ()  # the smallest margin first
    # All rows by the probability of the most probable class, in bins of equal width from 0 to 1.
    confidences: tuple[int, ...] = (0,) * HISTOGRAM_BINS

    def __add__(self, other: Any) -> Samples:
        return Samples(
            _take_of_classes((*self.by_class, *other.by_class)),
            take_most_confident((*self.mistakes, *other.mistakes), MAX_SAMPLES),
            take_least_certain((*self.least_certain, *other.least_certain), MAX_SAMPLES),
            tuple(map(sum, zip(self.confidences, other.confidences))),
        )

    def of_class(self, label: str) -> list[SampledRow]:
        """Return the rows that are predicted as a class."""
        return [row for row in self.by_class if row.prediction == label]


def select_samples(
    keys: Sequence[str],
    known_labels: Sequence[Optional[str]],
    predictions: npt.NDArray[Any],
    probabilities: npt.NDArray[np.float32],
    labels: Sequence[str],
    threshold: float,
) -> Samples:
    """Select from rows.

    Args:
        keys: N, unique.
        known_labels: N; None if the label is not known.
        predictions: (N,) integers.
        probabilities: (N, classes) float32.
        labels: the classes, in the order of their ids.
        threshold: between two classes; not used for more.
    """
    certainty = probabilities[np.arange(len(predictions)), predictions]
    margins = predicted_margins(probabilities, threshold)

    def build_row(row: int) -> SampledRow:
        return SampledRow(
            keys[row],
            known_labels[row],
            labels[predictions[row]],
            float(certainty[row]),
            float(margins[row]),
        )

    is_wrong = [label not in (None, labels[i]) for label, i in zip(known_labels, predictions)]
    wrong = np.flatnonzero(is_wrong)
    mistakes = map(build_row, wrong[lowest_indices(-certainty[wrong], MAX_SAMPLES)])
    least_certain = map(build_row, lowest_indices(margins, MAX_SAMPLES))
    confidences, _ = np.histogram(probabilities.max(axis=1, initial=0.0), HISTOGRAM_BINS, (0, 1))
    return Samples(
        _take_of_classes(map(build_row, _first_of_classes(keys, predictions))),
        take_most_confident(mistakes, MAX_SAMPLES),
        take_least_certain(least_certain, MAX_SAMPLES),
        tuple(confidences.tolist()),
    )


def _first_of_classes(keys: Sequence[str], predictions: npt.NDArray[Any]) -> npt.NDArray[Any]:
    """Return the indices of the MAX_OF_CLASS rows of each class with the lowest hashes."""
    hashes = np.fromiter(map(hash_key, keys), np.uint64, len(keys))
    order = np.lexsort((hashes, predictions))
    ordered = predictions[order]
    ranks = np.arange(len(order)) - np.searchsorted(ordered, ordered)
    return np.asarray(order[ranks < MAX_OF_CLASS])


def _take_of_classes(rows: Iterable[SampledRow]) -> tuple[SampledRow, ...]:
    """Return the rows of each class with the lowest hashes, ordered by class and hash."""
    taken: dict[str, list[SampledRow]] = {}
    for row in sorted(rows, key=lambda row: (row.prediction, hash_key(row.key), row.key)):
        of_class = taken.setdefault(row.prediction, [])
        if len(of_class) < MAX_OF_CLASS:
            of_class.append(row)
    return tuple(row for of_class in taken.values() for row in of_class)
