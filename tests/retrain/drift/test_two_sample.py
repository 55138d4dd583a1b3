from __future__ import annotations

import numpy as np
import pytest
from scipy.stats import norm

from halftone.retrain.drift.two_sample import compare_samples


def normal(seed: int, rows: int, shift: float = 0.0, dimensions: int = 4) -> np.ndarray:
    values = np.random.default_rng(seed).normal(size=(rows, dimensions))
    values[:, 0] += shift
    return values


def test_too_few_rows_are_not_compared() -> None:
    assert compare_samples(normal(1, 19), normal(2, 500), 0.999) is None
    assert compare_samples(normal(1, 500), normal(2, 19), 0.999) is None
    assert compare_samples(normal(1, 20), normal(2, 20), 0.999) is not None


def test_the_limit_of_chance_is_a_quantile_of_the_binomial_distribution() -> None:
    result = compare_samples(normal(1, 100), normal(2, 400), 0.999)
    assert result is not None
    assert result.rows == 100
    # P(more than 65 of 100 right by guessing) = 0.0009; of more than 64, 0.0018.
    assert result.by_chance == 0.65


@pytest.mark.parametrize("seed", range(5))
@pytest.mark.parametrize("dimensions", [4, 256])
def test_samples_of_one_distribution_differ_by_chance_only(seed: int, dimensions: int) -> None:
    samples = (normal(10 * seed + number, 300, dimensions=dimensions) for number in (0, 1))
    result = compare_samples(*samples, 0.999)
    assert result is not None
    assert result.accuracy < result.by_chance


@pytest.mark.parametrize("shift", [1.0, 2.0, 4.0])
def test_two_normal_distributions_are_told_apart_as_well_as_possible(shift: float) -> None:
    result = compare_samples(normal(1, 2000), normal(2, 2000, shift), 0.999)
    assert result is not None
    # The best possible accuracy for two normal distributions at this distance.
    assert result.accuracy == pytest.approx(norm.cdf(shift / 2), abs=0.03)
    assert result.accuracy > result.by_chance


def test_constant_embeddings_are_not_told_apart() -> None:
    result = compare_samples(np.ones((50, 3)), np.ones((50, 3)), 0.999)
    assert result is not None
    assert result.accuracy == 0.5
