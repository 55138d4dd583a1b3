"""Selected rows for the report: the most confident mistakes and the least certain rows."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any, Callable, NamedTuple

import numpy as np
import numpy.typing as npt

MAX_EXAMPLES = 48  # of each kind


class Example(NamedTuple):
    """A row with a known label."""

    key: str
    label: str
    prediction: str
    probability: float  # of the prediction
    margin: float  # by which the prediction won; between two classes, the distance to the threshold
    pixels: npt.NDArray[np.uint8]  # (H, W, C)


class Examples(NamedTuple):
    """At most MAX_EXAMPLES of each kind; add two selections with `+`."""

    mistakes: tuple[Example, ...] = ()  # the most confident first
    least_certain: tuple[Example, ...] = ()  # the smallest margin first, right or wrong

    def __add__(self, other: Any) -> Examples:
        return Examples(
            _take_first(_certainty_order, (*self.mistakes, *other.mistakes)),
            _take_first(_margin_order, (*self.least_certain, *other.least_certain)),
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
    mistakes = map(build_example, wrong[_lowest_indices(-certainty[wrong])])
    least_certain = map(build_example, _lowest_indices(margins))
    return Examples(
        _take_first(_certainty_order, mistakes), _take_first(_margin_order, least_certain)
    )


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


def _lowest_indices(values: npt.NDArray[Any]) -> npt.NDArray[Any]:
    """Return the indices of the MAX_EXAMPLES lowest values, and of all ties with the last one."""
    if len(values) <= MAX_EXAMPLES:
        return np.arange(len(values))
    return np.flatnonzero(values <= np.partition(values, MAX_EXAMPLES - 1)[MAX_EXAMPLES - 1])


def _certainty_order(example: Example) -> tuple[float, str]:
    return -example.probability, example.key


def _margin_order(example: Example) -> tuple[float, str]:
    return example.margin, example.key


def _take_first(
    sort_key: Callable[[Example], tuple[float, str]], examples: Iterable[Example]
) -> tuple[Example, ...]:
    return tuple(sorted(examples, key=sort_key)[:MAX_EXAMPLES])
