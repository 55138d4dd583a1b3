"""How much one sample differs from another: the population stability index of two histograms."""

from __future__ import annotations

from collections.abc import Sequence
from statistics import NormalDist

import numpy as np
import numpy.typing as npt

Counts = npt.NDArray[np.int64]

# Added to each bin: one that is empty on one side would else be infinitely far from the other.
_SMOOTHING = 0.5


def psi(before: Sequence[int], now: Sequence[int]) -> float:
    """The population stability index: sum of (q - p) ln(q / p) over the bins' shares p and q.

    It is the symmetric divergence of H. Jeffreys (1946). From 0.1 on credit scoring, where the name
    is from, speaks of a small change, from 0.25 on of a large one.

    Args:
        before, now: (bins,) counts. 0 where one of them has none at all.
    """
    if not sum(before) or not sum(now):
        return 0.0
    # What is empty on both sides says nothing, and must not take a part of what smooths.
    filled = [pair for pair in zip(before, now) if any(pair)]
    p, q = map(_shares, zip(*filled))
    return float(((q - p) * np.log(q / p)).sum())


def psi_quantile(before: Sequence[int], now: Sequence[int], confidence: float) -> float:
    """What the index of two samples of one population stays below, with this confidence.

    B. Yurdakul, "Statistical Properties of Population Stability Index" (2018): it is distributed
    as (1/n + 1/m) times chi-squared of bins - 1. That quantile is by E. B. Wilson, M. M. Hilferty
    (1931).
    """
    sizes = sum(before), sum(now)
    freedom = sum(1 for pair in zip(before, now) if any(pair)) - 1
    if freedom < 1 or not all(sizes):
        return 0.0
    z = NormalDist().inv_cdf(confidence)
    spread = 2 / (9 * freedom)
    quantile = freedom * max(0.0, 1 - spread + z * float(spread**0.5)) ** 3
    return quantile * sum(1 / size for size in sizes)


def merge_bins(
    before: Sequence[int], now: Sequence[int], bins: int = 10
) -> tuple[list[int], list[int]]:
    """Merge fine neighbouring bins into about `bins` that hold equal shares of `before`.

    Args:
        before, now: (fine bins,) counts.
    """
    sofar = np.cumsum(before)
    if not len(sofar) or not sofar[-1]:
        return [sum(before)], [sum(now)]
    # What a fine bin ends with decides where it belongs, so that none is cut.
    group = np.minimum(np.maximum(sofar - 1, 0) * bins // sofar[-1], bins - 1)
    starts = np.flatnonzero(np.diff(group, prepend=-1))
    first, second = (
        np.add.reduceat(np.asarray(counts, np.int64), starts) for counts in (before, now)
    )
    return first.tolist(), second.tolist()


def _shares(counts: Sequence[int]) -> npt.NDArray[np.float64]:
    smooth = np.asarray(counts, np.float64) + _SMOOTHING
    shares: npt.NDArray[np.float64] = smooth / smooth.sum()
    return shares
