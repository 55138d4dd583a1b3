"""Temperature scaling: make the confidence of a network agree with its accuracy.

C. Guo, G. Pleiss, Y. Sun, K. Q. Weinberger, "On Calibration of Modern Neural Networks", ICML 2017,
section 4.2: logits are divided by one number, the temperature, that minimises the cross-entropy on
the validation split. The most probable class of a row stays the same.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

# Smaller probabilities count as this one, so that a confident mistake has a finite loss. Keras uses
# the same bound.
MIN_PROBABILITY = 1e-7

# If all rows are right, the cross-entropy falls with the temperature without end.
_MIN_TEMPERATURE, _MAX_TEMPERATURE = 0.05, 20.0
_CHUNK_ROWS = 1 << 14  # few enough for their arrays to stay in the CPU's cache

_Probabilities = npt.NDArray[np.float32]


def fit_temperature(label_ids: npt.NDArray[Any], probabilities: _Probabilities) -> float:
    """Return the temperature with the lowest cross-entropy on these rows, 0.05 to 20.

    It is above 1 for an overconfident network, and below 1 for an underconfident one.

    Args:
        label_ids: (N,) integers.
        probabilities: (N, classes) float32.
    """
    from scipy.optimize import brentq  # here, because the import takes a second

    def slope(inverse_temperature: float) -> float:
        return _cross_entropy_slope(label_ids, probabilities, inverse_temperature)

    # The cross-entropy is convex in 1 / temperature.
    low, high = 1 / _MAX_TEMPERATURE, 1 / _MIN_TEMPERATURE
    if slope(high) < 0:
        return _MIN_TEMPERATURE
    if slope(low) > 0:
        return _MAX_TEMPERATURE
    slope_at_1 = slope(1.0)
    if abs(slope_at_1) <= 1e-12 * len(label_ids):  # also if no temperature makes a difference
        return 1.0
    bounds = (low, 1.0) if slope_at_1 > 0 else (1.0, high)
    return 1 / float(brentq(slope, *bounds, xtol=1e-10))


def _cross_entropy_slope(
    label_ids: npt.NDArray[Any], probabilities: _Probabilities, inverse_temperature: float
) -> float:
    """Return the derivative of the summed cross-entropy by `inverse_temperature`."""
    slope = 0.0
    for start in range(0, len(label_ids), _CHUNK_ROWS):
        chunk = slice(start, start + _CHUNK_ROWS)
        logits = _logits(probabilities[chunk])
        mean = (_softmax(inverse_temperature * logits) * logits).sum(axis=1)
        slope += float((mean - logits[np.arange(len(logits)), label_ids[chunk]]).sum())
    return slope


def apply_temperature(probabilities: _Probabilities, temperature: float) -> _Probabilities:
    """Return the probabilities scaled by `temperature`, (N, classes) float32; unchanged at 1."""
    if temperature == 1:
        return probabilities
    return _softmax(_logits(probabilities) / temperature).astype(np.float32)


def _logits(probabilities: _Probabilities) -> npt.NDArray[np.float64]:
    """Return logits whose maximum is 0 in each row."""
    logits = np.log(np.maximum(probabilities.astype(np.float64), MIN_PROBABILITY))
    shifted: npt.NDArray[np.float64] = logits - logits.max(axis=1, keepdims=True)
    return shifted


def _softmax(logits: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
    exponentials = np.exp(logits)
    shares: npt.NDArray[np.float64] = exponentials / exponentials.sum(axis=1, keepdims=True)
    return shares
