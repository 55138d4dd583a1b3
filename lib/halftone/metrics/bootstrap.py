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

from halftone.metrics.group_sums import GroupSums
from halftone.metrics.point_estimates import (
    AREA_METRICS,
    Estimates,
    calibration_gaps,
    estimate_metrics,
)

Intervals = dict[str, Optional[list[float]]]
_Values = npt.NDArray[np.float64]  # (replicates,)

_INTERVAL_PERCENTILES = (2.5, 97.5)  # percent
_CHUNK_REPLICATES = 100  # replicates at once: they must fit into memory for a thousand classes too


def intervals(group_sums: GroupSums, sample_estimates: Estimates, num_replicates: int) -> Intervals:
    """Return [low, high] for each name in `exact`; None where the estimate is NaN.

    Args:
        groups: (groups, ...) each.
        exact: the sample's own estimates. Those of `sums.estimates` differ from them where scores
            are binned, and the replicates are moved by as much.
    """
    whole = group_sums.total()
    binned = estimate_metrics(whole)
    drawn, chance = [], []
    for sample in _resampled_sums(group_sums, num_replicates):
        drawn.append(estimate_metrics(sample))
        chance.append(
            np.abs(calibration_gaps(sample.calibration) - calibration_gaps(whole.calibration)).sum(
                axis=-1
            )
        )
    result: Intervals = {}
    for name, value in sample_estimates.items():
        values = np.concatenate([each[name] for each in drawn])
        if name in AREA_METRICS:
            values = np.clip(values + (value - binned[name]), 0, 1)
        values = values[~np.isnan(values)]
        result[name] = (
            np.percentile(values, _INTERVAL_PERCENTILES).tolist() if len(values) else None
        )
    errors = np.concatenate([each["ece"] for each in drawn])
    result["ece"] = _calibration_error_interval(
        float(sample_estimates["ece"]), errors, np.concatenate(chance)
    )
    return result


def _resampled_sums(group_sums: GroupSums, num_replicates: int) -> Iterator[GroupSums]:
    """Yield the sums of samples drawn anew, (replicates, ...) each, some at a time."""
    # A stream of its own: a metric is the same whenever and wherever it is computed.
    rng = np.random.Generator(np.random.PCG64(0))
    filled = group_sums.class_counts.any(axis=(1, 2))
    held = [each[filled].astype(np.float64) for each in group_sums]
    count = int(filled.sum())
    for start in range(0, num_replicates, _CHUNK_REPLICATES):
        size = min(_CHUNK_REPLICATES, num_replicates - start)
        weights = rng.multinomial(count, np.full(count, 1 / count), size).astype(np.float64)
        yield GroupSums(*(np.tensordot(weights, each, 1) for each in held))


def _calibration_error_interval(
    error: float, resampled_errors: _Values, chance_errors: _Values
) -> list[float]:
    """The interval of a calibration error, which chance can only make larger.

    A sample drawn anew has chance errors of its own on top of those of the sample, so its
    percentiles lie too high: they are mirrored at the estimate (the basic bootstrap of A. C.
    Davison, D. V. Hinkley, "Bootstrap Methods and their Application" (1997), section 5.2). Where
    chance alone would give as much as there is, the interval begins at 0.
    """
    low, high = np.percentile(resampled_errors, _INTERVAL_PERCENTILES)
    by_chance = error <= np.percentile(chance_errors, 95)
    return [
        0.0 if by_chance else float(np.clip(2 * error - high, 0, error)),
        float(np.clip(2 * error - low, error, 1)),
    ]
