"""Temperature scaling: make a network's certainty agree with how often it is right.

C. Guo, G. Pleiss, Y. Sun, K. Q. Weinberger, "On Calibration of Modern Neural Networks", ICML 2017,
section 4.2: logits are divided by one number, the temperature, that makes the cross-entropy on the
validation split the smallest. A row's most probable class stays the same.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

# Keras's own bound, so that a certain mistake has a large loss and not an infinite one. A smaller
# probability counts as this.
MIN_PROBABILITY = 1e-7

# Where all rows are right, no temperature is low enough; one must be.
_MIN_TEMPERATURE, _MAX_TEMPERATURE = 0.05, 20.0
_MAX_STEPS = 100
_CHUNK_ROWS = 1 << 14  # few enough that their arrays stay in the CPU's cache

_Probabilities = npt.NDArray[np.float32]


def fit_temperature(label_ids: npt.NDArray[Any], probabilities: _Probabilities) -> float:
    """Return the temperature with the least cross-entropy on these rows, 0.05 to 20.

    Above 1 where the network is too certain, below 1 where it is not certain enough.

    Args:
        label_ids: (N,) integers.
        probabilities: (N, classes) float32.
    """
    # In 1 / temperature the cross-entropy is convex: Newton's steps, kept between two bounds.
    low, high, sharpness = 1 / _MAX_TEMPERATURE, 1 / _MIN_TEMPERATURE, 1.0
    if _cross_entropy_derivatives(label_ids, probabilities, high)[0] < 0:
        return _MIN_TEMPERATURE
    if _cross_entropy_derivatives(label_ids, probabilities, low)[0] > 0:
        return _MAX_TEMPERATURE
    for _ in range(_MAX_STEPS):
        slope, curvature = _cross_entropy_derivatives(label_ids, probabilities, sharpness)
        if abs(slope) <= 1e-12 * len(label_ids):
            break
        low, high = (low, sharpness) if slope > 0 else (sharpness, high)
        step = sharpness - slope / curvature if curvature > 0 else high
        sharpness = step if low < step < high else (low * high) ** 0.5
    return 1 / sharpness


def _cross_entropy_derivatives(
    label_ids: npt.NDArray[Any], probabilities: _Probabilities, inverse_temperature: float
) -> tuple[float, float]:
    """First and second derivative of the summed cross-entropy by `sharpness`."""
    slope = curvature = 0.0
    for start in range(0, len(label_ids), _CHUNK_ROWS):
        chunk = slice(start, start + _CHUNK_ROWS)
        logits = _logits(probabilities[chunk])
        shares = _softmax(inverse_temperature * logits)
        mean = (shares * logits).sum(axis=1)
        slope += float((mean - logits[np.arange(len(logits)), label_ids[chunk]]).sum())
        curvature += float(((shares * logits**2).sum(axis=1) - mean**2).sum())
    return slope, curvature


def apply_temperature(probabilities: _Probabilities, temperature: float) -> _Probabilities:
    """Return the probabilities at `temperature`, (N, classes) float32; at 1 as they are."""
    if temperature == 1:
        return probabilities
    return _softmax(_logits(probabilities) / temperature).astype(np.float32)


def _logits(probabilities: _Probabilities) -> npt.NDArray[np.float64]:
    """The logits up to a constant a row, such that the highest is 0."""
    logits = np.log(np.maximum(probabilities.astype(np.float64), MIN_PROBABILITY))
    shifted: npt.NDArray[np.float64] = logits - logits.max(axis=1, keepdims=True)
    return shifted


def _softmax(logits: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
    powers = np.exp(logits)
    shares: npt.NDArray[np.float64] = powers / powers.sum(axis=1, keepdims=True)
    return shares
