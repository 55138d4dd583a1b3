"""Temperature scaling: make the confidence of a network agree with its accuracy.

C. Guo, G. Pleiss, Y. Sun, K. Q. Weinberger, "On Calibration of Modern Neural Networks", ICML 2017,
section 4.2: logits are divided by one number, the temperature, that minimises the cross-entropy on
the validation split (see `temperature_fit`). The most probable class of a row stays the same.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

# Smaller probabilities count as this one, so that a confident mistake has a finite loss. Keras uses
# the same bound.
MIN_PROBABILITY = 1e-7

_CHUNK_ROWS = 1 << 14  # few enough for their arrays to stay in the CPU's cache

_Probabilities = npt.NDArray[np.float32]
Numbers = npt.NDArray[np.float64]


def cross_entropy_slopes(
    label_ids: npt.NDArray[Any], probabilities: _Probabilities, inverse_temperatures: Numbers
) -> Numbers:
    """Return the derivative of the summed cross-entropy by the inverse temperature, for each.

    Args:
        label_ids: (N,) integers.
        probabilities: (N, classes) float32.
        inverse_temperatures: (K,) at which the derivative is computed.
    """
    slopes = np.zeros(len(inverse_temperatures))
    for start in range(0, len(label_ids), _CHUNK_ROWS):
        chunk = slice(start, start + _CHUNK_ROWS)
        logits = _logits(probabilities[chunk])
        of_labels = float(logits[np.arange(len(logits)), label_ids[chunk]].sum())
        for index, inverse_temperature in enumerate(inverse_temperatures):
            means = (_softmax(inverse_temperature * logits) * logits).sum()
            slopes[index] += float(means) - of_labels
    return slopes


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
