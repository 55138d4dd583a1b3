"""The rows worth a look: mistakes that the model was sure of, and rows that it was unsure of."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

MAX_EXAMPLES = 48  # of each kind


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
    least_certain: tuple[Example, ...] = ()  # the least sure first, right or wrong

    def __add__(self, other: Any) -> Examples:
        return Examples(
            _take_first(_certainty_order, (*self.mistakes, *other.mistakes)),
            _take_first(_margin_order, (*self.least_certain, *other.doubtful)),
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
    mistakes = map(example, wrong[_lowest_indices(-certainty[wrong])])
    doubtful = map(example, _lowest_indices(margins))
    return Examples(_take_first(_certainty_order, mistakes), _take_first(_margin_order, doubtful))


def _margins(probabilities: npt.NDArray[np.float32], threshold: float) -> npt.NDArray[Any]:
    if probabilities.shape[1] == 2:
        return np.asarray(np.abs(probabilities[:, 1].astype(np.float64) - threshold))
    two = np.partition(probabilities, -2, axis=1)[:, -2:]
    return np.asarray(two[:, 1] - two[:, 0])


def _lowest_indices(values: npt.NDArray[Any]) -> npt.NDArray[Any]:
    """Where the MOST lowest values are, and all that are as low as the last of these."""
    if len(values) <= MAX_EXAMPLES:
        return np.arange(len(values))
    return np.flatnonzero(values <= np.partition(values, MAX_EXAMPLES - 1)[MAX_EXAMPLES - 1])


def _certainty_order(example: Example) -> tuple[float, str]:
    return -example.probability, example.key


def _margin_order(example: Example) -> tuple[float, str]:
    return example.margin, example.key


def _take_first(sort_key: Any, examples: Iterable[Example]) -> tuple[Example, ...]:
    return tuple(sorted(examples, key=sort_key)[:MAX_EXAMPLES])
