from __future__ import annotations

import math
from functools import partial

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.optimize import minimize_scalar

from drawn_predictions import calibrated
from halftone.metrics import calibration, temperature_fit


def cross_entropy(label_ids: np.ndarray, probabilities: np.ndarray) -> float:
    of_label = probabilities[np.arange(len(label_ids)), label_ids].astype(np.float64)
    return float(-np.log(np.maximum(of_label, 1e-300)).mean())


def fit(label_ids: np.ndarray, probabilities: np.ndarray) -> float:
    slopes = partial(calibration.cross_entropy_slopes, label_ids, probabilities)
    return temperature_fit.fit_temperature(slopes, len(label_ids))


def test_a_temperature_by_hand() -> None:
    # 3 of 4 rows are right at 0.8: the best is 0.75, so log 4 / T = log 3.
    probabilities = np.array([[0.2, 0.8]] * 4, np.float32)
    temperature = fit(np.array([1, 1, 0, 1]), probabilities)
    assert temperature == pytest.approx(math.log(4) / math.log(3), abs=1e-6)
    scaled = calibration.apply_temperature(probabilities, temperature)
    np.testing.assert_allclose(scaled, [[0.25, 0.75]] * 4, atol=1e-6)
    assert scaled.dtype == np.float32


@pytest.mark.parametrize("classes", [2, 10])
@pytest.mark.parametrize("sharpness", [0.5, 1.0, 2.5])
def test_the_sharpness_of_an_overconfident_model_is_recovered(
    classes: int, sharpness: float
) -> None:
    rows = calibrated(0, 40_000, classes, sharpness)
    temperature = fit(rows.label_ids, rows.probabilities)
    assert temperature == pytest.approx(sharpness, rel=0.03)
    scaled = calibration.apply_temperature(rows.probabilities, sharpness)
    unscaled = calibrated(0, 40_000, classes).probabilities
    # Probabilities below 1e-7 count as 1e-7.
    known = rows.probabilities.min(axis=1) > 1e-7
    assert known.mean() > 0.8
    np.testing.assert_allclose(scaled[known], unscaled[known], atol=1e-5)


@pytest.mark.parametrize(("classes", "seed"), [(2, 0), (2, 1), (3, 2), (10, 3)])
def test_no_temperature_has_a_smaller_loss(classes: int, seed: int) -> None:
    rows = calibrated(seed, 200, classes, sharpness=0.4 + seed)

    def loss(temperature: float) -> float:
        return cross_entropy(
            rows.label_ids, calibration.apply_temperature(rows.probabilities, temperature)
        )

    best = minimize_scalar(loss, bounds=(0.05, 20), method="bounded", options={"xatol": 1e-8})
    temperature = fit(rows.label_ids, rows.probabilities)
    assert temperature == pytest.approx(best.x, rel=1e-3)
    assert loss(temperature) <= best.fun + 1e-8


def test_rows_are_processed_in_chunks(monkeypatch: pytest.MonkeyPatch) -> None:
    rows = calibrated(0, 1000, 3, 2.0)
    whole = fit(rows.label_ids, rows.probabilities)
    monkeypatch.setattr(calibration, "_CHUNK_ROWS", 7)
    parts = fit(rows.label_ids, rows.probabilities)
    assert parts == pytest.approx(whole, rel=1e-9)


def test_if_all_rows_are_right_or_all_are_wrong_the_temperature_is_a_bound() -> None:
    probabilities = np.array([[0.1, 0.9], [0.7, 0.3]], np.float32)
    assert fit(np.array([1, 0]), probabilities) == 0.05
    assert fit(np.array([0, 1]), probabilities) == 20.0


def test_if_all_classes_are_equally_probable_the_temperature_is_1() -> None:
    probabilities = np.full((3, 3), 1 / 3, np.float32)
    assert fit(np.array([0, 1, 2]), probabilities) == 1.0


def test_a_confident_mistake_has_a_finite_loss() -> None:
    probabilities = np.array([[0.0, 1.0]] * 10, np.float32)
    # Right in 9 of 10: log 1e7 / T = log 9.
    temperature = fit(np.array([1] * 9 + [0]), probabilities)
    assert temperature == pytest.approx(math.log(1e7) / math.log(9), rel=1e-6)
    np.testing.assert_allclose(
        calibration.apply_temperature(probabilities, temperature), [[0.1, 0.9]] * 10, atol=1e-6
    )


@given(st.integers(0, 1000), st.sampled_from([2, 3, 7]), st.floats(0.05, 20))
def test_scaling_keeps_the_order_of_classes(seed: int, classes: int, temperature: float) -> None:
    probabilities = calibrated(seed, 20, classes).probabilities
    scaled = calibration.apply_temperature(probabilities, temperature)
    assert scaled.argmax(axis=1).tolist() == probabilities.argmax(axis=1).tolist()
    np.testing.assert_allclose(scaled.sum(axis=1), 1, atol=1e-6)
    back = (
        calibration.apply_temperature(scaled, 1 / temperature)
        if 0.5 < temperature < 2
        else probabilities
    )
    np.testing.assert_allclose(back, probabilities, atol=1e-4)


def test_at_1_nothing_changes() -> None:
    probabilities = np.array([[1e-30, 1.0], [0.3, 0.7]], np.float32)
    assert calibration.apply_temperature(probabilities, 1.0) is probabilities
