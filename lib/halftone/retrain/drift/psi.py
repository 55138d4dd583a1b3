"""The population stability index (PSI): how much two histograms differ."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt
from scipy.special import chdtri

# Added to each bin: a bin that is empty in one histogram would make the index infinite.
_SMOOTHING = 0.5


def psi(before: Sequence[int], now: Sequence[int]) -> float:
    """Return the population stability index, the sum of (q - p) ln(q / p) over shares p and q.

    It is the symmetric divergence of H. Jeffreys (1946). In credit scoring, where the name comes
    from, 0.1 counts as a small change and 0.25 as a large one.

    Args:
        before, now: (bins,) counts.

    Returns:
        The index; 0 if one of the histograms is empty.
    """
    if not sum(before) or not sum(now):
        return 0.0
    # Bins that are empty in both carry no information and must not be smoothed.
    filled = [pair for pair in zip(before, now) if any(pair)]
    p, q = map(_shares, zip(*filled))
    return float(((q - p) * np.log(q / p)).sum())


def psi_quantile(before: Sequence[int], now: Sequence[int], confidence: float) -> float:
    """Return the quantile of the index for two samples of the same population.

    It is distributed as (1/n + 1/m) times chi-squared with bins - 1 degrees of freedom
    (B. Yurdakul, "Statistical Properties of Population Stability Index", 2018).

    Args:
        before, now: (bins,) counts; their sums are the sizes n and m.
        confidence: such as 0.99.

    Returns:
        The quantile; 0 if a histogram is empty or only one bin is filled.
    """
    sizes = sum(before), sum(now)
    freedom = sum(1 for pair in zip(before, now) if any(pair)) - 1
    if freedom < 1 or not all(sizes):
        return 0.0
    quantile = float(chdtri(freedom, 1 - confidence))
    return quantile * sum(1 / size for size in sizes)


def merge_bins(
    before: Sequence[int], now: Sequence[int], bins: int = 10
) -> tuple[list[int], list[int]]:
    """Merge neighbouring bins into at most `bins` bins that hold about equal shares of `before`.

    Args:
        before, now: (fine bins,) counts.
        bins: maximum number of merged bins.

    Returns:
        The merged counts of `before` and of `now`.
    """
    cumulative = np.cumsum(before)
    if not len(cumulative) or not cumulative[-1]:
        return [sum(before)], [sum(now)]
    # The last row of a fine bin decides its merged bin, so no fine bin is split.
    group = np.minimum(np.maximum(cumulative - 1, 0) * bins // cumulative[-1], bins - 1)
    starts = np.flatnonzero(np.diff(group, prepend=-1))
    merged_before, merged_now = (
        np.add.reduceat(np.asarray(counts, np.int64), starts) for counts in (before, now)
    )
    return merged_before.tolist(), merged_now.tolist()


def _shares(counts: Sequence[int]) -> npt.NDArray[np.float64]:
    smoothed = np.asarray(counts, np.float64) + _SMOOTHING
    shares: npt.NDArray[np.float64] = smoothed / smoothed.sum()
    return shares
