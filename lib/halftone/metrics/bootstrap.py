"""95 % intervals by the bootstrap, from sums over groups of rows.

B. Efron, R. J. Tibshirani, "An Introduction to the Bootstrap" (1993), chapter 13: resample with
replacement many times; the middle 95 % of the estimates are the interval. Groups are resampled
instead of rows. A row's group depends on a hash of its key, so a group is a random set of rows:
the spread is that of resampled rows, at the cost of one addition per row instead of one per row
and replicate. Groups that are empty, as in a small sample, are left out.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Optional

import numpy as np
import numpy.typing as npt

from halftone.metrics.group_sums import GroupSums
from halftone.metrics.model import Interval
from halftone.metrics.point_estimates import (
    AREA_METRICS,
    Estimates,
    calibration_gaps,
    estimate_metrics,
)

Intervals = dict[str, Optional[Interval]]
_Values = npt.NDArray[np.float64]  # (replicates,)

_INTERVAL_PERCENTILES = (2.5, 97.5)  # percent
_CHUNK_REPLICATES = 100  # replicates at once: they must fit into memory for 1,000 classes too


def intervals(group_sums: GroupSums, sample_estimates: Estimates, num_replicates: int) -> Intervals:
    """Return (low, high) for each name in `sample_estimates`; None if the estimate is NaN.

    Args:
        group_sums: (groups, ...) each.
        sample_estimates: the exact estimates of the sample. `estimate_metrics` gives slightly
            different areas, as its scores are binned; the replicates are shifted by the difference.
        num_replicates: number of bootstrap samples.
    """
    whole = group_sums.total()
    binned = estimate_metrics(whole)
    replicates, chance_errors = [], []
    for sums in _resampled_sums(group_sums, num_replicates):
        replicates.append(estimate_metrics(sums))
        gaps = calibration_gaps(sums.calibration) - calibration_gaps(whole.calibration)
        chance_errors.append(np.abs(gaps).sum(axis=-1))
    result: Intervals = {}
    for name, estimate in sample_estimates.items():
        values = np.concatenate([chunk[name] for chunk in replicates])
        if name in AREA_METRICS:
            values = np.clip(values + (estimate - binned[name]), 0, 1)
        values = values[~np.isnan(values)]
        result[name] = _percentile_interval(values) if len(values) else None
    result["ece"] = _calibration_error_interval(
        float(sample_estimates["ece"]),
        np.concatenate([chunk["ece"] for chunk in replicates]),
        np.concatenate(chance_errors),
    )
    return result


def _resampled_sums(group_sums: GroupSums, num_replicates: int) -> Iterator[GroupSums]:
    """Yield the sums of bootstrap samples, (replicates, ...) each, in chunks of replicates."""
    # A generator with a fixed seed: a metric does not depend on when and where it is computed.
    rng = np.random.Generator(np.random.PCG64(0))
    is_filled = group_sums.class_counts.any(axis=(1, 2))
    filled = [sums[is_filled].astype(np.float64) for sums in group_sums]
    count = int(is_filled.sum())
    for start in range(0, num_replicates, _CHUNK_REPLICATES):
        size = min(_CHUNK_REPLICATES, num_replicates - start)
        weights = rng.multinomial(count, np.full(count, 1 / count), size).astype(np.float64)
        yield GroupSums(*(np.tensordot(weights, sums, 1) for sums in filled))


def _percentile_interval(values: _Values) -> Interval:
    low, high = np.percentile(values, _INTERVAL_PERCENTILES).tolist()
    return low, high


def _calibration_error_interval(
    error: float, resampled_errors: _Values, chance_errors: _Values
) -> Interval:
    """Return the interval of a calibration error, which chance can only make larger.

    A bootstrap sample adds its own chance errors to those of the sample, so its percentiles lie too
    high: they are mirrored at the estimate (the basic bootstrap of A. C. Davison, D. V. Hinkley,
    "Bootstrap Methods and their Application" (1997), section 5.2). If chance alone explains the
    error, the interval begins at 0.
    """
    low, high = _percentile_interval(resampled_errors)
    by_chance = error <= np.percentile(chance_errors, 95)
    return (
        0.0 if by_chance else float(np.clip(2 * error - high, 0, error)),
        float(np.clip(2 * error - low, error, 1)),
    )
