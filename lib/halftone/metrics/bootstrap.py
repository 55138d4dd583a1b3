"""95 % intervals from the sums over groups of rows, by the bootstrap.

B. Efron, R. J. Tibshirani, "An Introduction to the Bootstrap" (1993), chapter 13: draw the sample
anew, with replacement, many times, and see between which values the middle 95 % of the estimates
lie. What is drawn are groups, and a group is rows by chance (by a hash of their keys): that gives
the spread that drawing rows would give, at the cost of one sum a row and not one for each
replicate. A group that a small sample leaves empty is not drawn.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Optional

import numpy as np
import numpy.typing as npt

from halftone.metrics.group_sums import Sums
from halftone.metrics.point_estimates import AREAS, Estimates, estimates, gaps

Intervals = dict[str, Optional[list[float]]]
_Values = npt.NDArray[np.float64]  # (replicates,)

_OUTSIDE = (2.5, 97.5)  # percent
_CHUNK = 100  # replicates at once: they must fit into memory for a thousand classes too


def intervals(groups: Sums, exact: Estimates, replicates: int) -> Intervals:
    """Return [low, high] for each name in `exact`; None where the estimate is NaN.

    Args:
        groups: (groups, ...) each.
        exact: the sample's own estimates. Those of `sums.estimates` differ from them where scores
            are binned, and the replicates are moved by as much.
    """
    whole = groups.total()
    binned = estimates(whole)
    drawn, chance = [], []
    for sample in _samples(groups, replicates):
        drawn.append(estimates(sample))
        chance.append(np.abs(gaps(sample.calibration) - gaps(whole.calibration)).sum(axis=-1))
    result: Intervals = {}
    for name, value in exact.items():
        values = np.concatenate([each[name] for each in drawn])
        if name in AREAS:
            values = np.clip(values + (value - binned[name]), 0, 1)
        values = values[~np.isnan(values)]
        result[name] = np.percentile(values, _OUTSIDE).tolist() if len(values) else None
    errors = np.concatenate([each["ece"] for each in drawn])
    result["ece"] = _of_error(float(exact["ece"]), errors, np.concatenate(chance))
    return result


def _samples(groups: Sums, replicates: int) -> Iterator[Sums]:
    """Yield the sums of samples drawn anew, (replicates, ...) each, some at a time."""
    # A stream of its own: a metric is the same whenever and wherever it is computed.
    rng = np.random.Generator(np.random.PCG64(0))
    filled = groups.by_class.any(axis=(1, 2))
    held = [each[filled].astype(np.float64) for each in groups]
    count = int(filled.sum())
    for start in range(0, replicates, _CHUNK):
        size = min(_CHUNK, replicates - start)
        weights = rng.multinomial(count, np.full(count, 1 / count), size).astype(np.float64)
        yield Sums(*(np.tensordot(weights, each, 1) for each in held))


def _of_error(error: float, drawn: _Values, chance: _Values) -> list[float]:
    """The interval of a calibration error, which chance can only make larger.

    A sample drawn anew has chance errors of its own on top of those of the sample, so its
    percentiles lie too high: they are mirrored at the estimate (the basic bootstrap of A. C.
    Davison, D. V. Hinkley, "Bootstrap Methods and their Application" (1997), section 5.2). Where
    chance alone would give as much as there is, the interval begins at 0.
    """
    low, high = np.percentile(drawn, _OUTSIDE)
    by_chance = error <= np.percentile(chance, 95)
    return [
        0.0 if by_chance else float(np.clip(2 * error - high, 0, error)),
        float(np.clip(2 * error - low, error, 1)),
    ]
