from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats

from halftone.retrain.drift import psi

COUNTS = st.lists(st.integers(0, 500), min_size=2, max_size=40)


def test_a_known_value() -> None:
    # Shares 0.5, 0.5 against 0.9, 0.1: 0.4 ln 1.8 - 0.4 ln 0.2, apart from the smoothing.
    exact = 0.4 * math.log(1.8) - 0.4 * math.log(0.2)
    assert exact == pytest.approx(0.8789, abs=1e-4)
    assert psi.psi([500_000, 500_000], [900_000, 100_000]) == pytest.approx(exact, abs=1e-4)


@pytest.mark.parametrize("counts", [[0, 0], []])
def test_empty_histograms_have_index_zero(counts: list[int]) -> None:
    assert psi.psi(counts, counts) == 0.0
    assert psi.psi([3, 4], [0, 0]) == 0.0
    assert psi.psi_quantile([3, 4], [0, 0], 0.95) == 0.0


def test_bins_that_are_empty_on_both_sides_are_ignored() -> None:
    assert psi.psi([0, 390, 0], [0, 2, 0]) == 0.0
    assert psi.psi([0, 30, 60], [0, 3, 4]) == psi.psi([30, 60], [3, 4])


@given(COUNTS, st.data())
def test_index_is_symmetric_finite_and_not_negative(before: list[int], data: st.DataObject) -> None:
    size = len(before)
    now = data.draw(st.lists(st.integers(0, 500), min_size=size, max_size=size))
    value = psi.psi(before, now)
    assert 0 <= value < math.inf
    assert value == pytest.approx(psi.psi(now, before))
    assert psi.psi(before, before) == 0.0


@given(COUNTS, st.integers(1, 12), st.data())
def test_merging_bins_keeps_the_number_of_rows(
    before: list[int], bins: int, data: st.DataObject
) -> None:
    size = len(before)
    now = data.draw(st.lists(st.integers(0, 500), min_size=size, max_size=size))
    merged_before, merged_now = psi.merge_bins(before, now, bins)
    assert (sum(merged_before), sum(merged_now)) == (sum(before), sum(now))
    assert 1 <= len(merged_before) == len(merged_now) <= bins


def test_merged_bins_hold_equal_shares_of_before() -> None:
    assert psi.merge_bins([1] * 100, [0] * 99 + [7], 4) == ([25, 25, 25, 25], [0, 0, 0, 7])
    assert psi.merge_bins([0, 50, 0, 50, 0], [1, 2, 3, 4, 5], 2) == ([50, 50], [6, 9])


@pytest.mark.parametrize("freedom", [1, 3, 9, 40])
def test_quantile_is_that_of_chi_squared(freedom: int) -> None:
    before, now = [100] * (freedom + 1), [10] * (freedom + 1)
    scale = 1 / sum(before) + 1 / sum(now)
    exact = float(stats.chi2.ppf(0.999, freedom)) * scale
    assert psi.psi_quantile(before, now, 0.999) == pytest.approx(exact, rel=1e-9)


def test_samples_of_one_population_stay_below_the_quantile() -> None:
    rng = np.random.default_rng(1)
    shares = np.full(10, 0.1)
    above = 0
    for _ in range(400):
        before, now = rng.multinomial(2000, shares), rng.multinomial(60, shares)
        above += psi.psi(before.tolist(), now.tolist()) > psi.psi_quantile(
            before.tolist(), now.tolist(), 0.95
        )
    assert above <= 400 * 0.05 * 1.5
