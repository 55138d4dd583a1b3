"""The rows worth a look: mistakes that the model was sure of, and rows that it was unsure of."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

MOST = 48  # of each kind


class Example(NamedTuple):
    """A row, whose label is known."""

    key: str
    label: str
    prediction: str
    probability: float  # of the prediction
    margin: float  # by which the prediction won; between two classes, the distance to the threshold
    pixels: npt.NDArray[np.uint8]  # (H, W, C)


class Examples(NamedTuple):
    """Add with `+`."""

    mistakes: tuple[Example, ...] = ()  # the surest first
    doubtful: tuple[Example, ...] = ()  # the least sure first, right or wrong

    def __add__(self, other: Any) -> Examples:
        return Examples(
            _first(_surest, (*self.mistakes, *other.mistakes)),
            _first(_unsure, (*self.doubtful, *other.doubtful)),
        )


def of(
    keys: Sequence[str],
    label_ids: npt.NDArray[Any],
    predictions: npt.NDArray[Any],
    probabilities: npt.NDArray[np.float32],
    pixels: npt.NDArray[np.uint8],
    labels: Sequence[str],
    threshold: float,
) -> Examples:
    """Choose among rows.

    Args:
        label_ids, predictions: (N,) integers.
        probabilities: (N, classes) float32.
        pixels: (N, H, W, C) uint8.
        labels: of the classes.
        threshold: between two classes.
    """
    certainty = probabilities[np.arange(len(predictions)), predictions]
    margins = _margins(probabilities, threshold)

    def example(row: int) -> Example:
        return Example(
            keys[row],
            labels[label_ids[row]],
            labels[predictions[row]],
            float(certainty[row]),
            float(margins[row]),
            pixels[row],
        )

    wrong = np.flatnonzero(label_ids != predictions)
    mistakes = map(example, wrong[_lowest(-certainty[wrong])])
    doubtful = map(example, _lowest(margins))
    return Examples(_first(_surest, mistakes), _first(_unsure, doubtful))


def _margins(probabilities: npt.NDArray[np.float32], threshold: float) -> npt.NDArray[Any]:
    if probabilities.shape[1] == 2:
        return np.asarray(np.abs(probabilities[:, 1].astype(np.float64) - threshold))
    two = np.partition(probabilities, -2, axis=1)[:, -2:]
    return np.asarray(two[:, 1] - two[:, 0])


def _lowest(values: npt.NDArray[Any]) -> npt.NDArray[Any]:
    """Where the MOST lowest values are, and all that are as low as the last of these."""
    if len(values) <= MOST:
        return np.arange(len(values))
    return np.flatnonzero(values <= np.partition(values, MOST - 1)[MOST - 1])


def _surest(example: Example) -> tuple[float, str]:
    return -example.probability, example.key


def _unsure(example: Example) -> tuple[float, str]:
    return example.margin, example.key


def _first(order: Any, examples: Iterable[Example]) -> tuple[Example, ...]:
    return tuple(sorted(examples, key=order)[:MOST])
