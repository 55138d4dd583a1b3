"""Fit the temperature of `calibration`, a module of its own because applying it needs no SciPy."""

from __future__ import annotations

from typing import Callable

import numpy as np

from halftone.metrics.calibration import Numbers

# If all rows are right, the cross-entropy falls with the temperature without end.
_MIN_TEMPERATURE, _MAX_TEMPERATURE = 0.05, 20.0

# A range is cut into so many parts, and so often narrowed to one of them. The last range is 3 % of
# the temperature wide; its slopes are interpolated, which is exact to 1e-9.
_PARTS, _REFINEMENTS = 16, 2

SumSlopes = Callable[[Numbers], Numbers]


def fit_temperature(sum_slopes: SumSlopes, num_rows: int) -> float:
    """Return the temperature with the lowest cross-entropy on some rows, 0.05 to 20.

    It is above 1 for an overconfident network, and below 1 for an underconfident one.

    Args:
        sum_slopes: returns `cross_entropy_slopes` of all rows, added up. It is called for many
            temperatures at once, and few times.
        num_rows: of all rows.
    """
    # The cross-entropy is convex in 1 / temperature: its slope rises, and is 0 at the minimum.
    inverse_temperatures = np.geomspace(1 / _MAX_TEMPERATURE, 1 / _MIN_TEMPERATURE, _PARTS + 1)
    inverse_temperatures[_PARTS // 2] = 1.0
    slopes = sum_slopes(inverse_temperatures)
    if slopes[-1] < 0:
        return _MIN_TEMPERATURE
    if slopes[0] > 0:
        return _MAX_TEMPERATURE
    # Also if no temperature makes a difference.
    if abs(slopes[_PARTS // 2]) <= 1e-12 * num_rows:
        return 1.0
    for _ in range(_REFINEMENTS):
        index = int(np.flatnonzero(slopes >= 0)[0])
        if slopes[index] == 0:
            return float(1 / inverse_temperatures[index])
        low, high = inverse_temperatures[index - 1 : index + 1]
        inverse_temperatures = np.linspace(low, high, _PARTS + 1)
        slopes = sum_slopes(inverse_temperatures)
    return 1 / _interpolate_root(inverse_temperatures, slopes)


def _interpolate_root(points: Numbers, values: Numbers) -> float:
    """Return where a smooth function that rises from below 0 to above 0 is 0."""
    from scipy.interpolate import BarycentricInterpolator  # here, as the import takes a second
    from scipy.optimize import brentq

    # By its position between the points: the numbers of a small range are nearly equal.
    positions = np.linspace(-1, 1, len(points))
    function = BarycentricInterpolator(positions, values)
    position = float(brentq(lambda x: float(function(x)), -1, 1, xtol=1e-12))
    return float(points[0] + (points[-1] - points[0]) * (position + 1) / 2)
