from __future__ import annotations

from typing import Callable

import numpy as np
import pytest
from sklearn import metrics as reference

from drawn_predictions import Predictions, build_predictions, calibrated
from halftone.metrics import accumulator, bootstrap, point_estimates
from halftone.metrics.bootstrap import Intervals


def intervals(rows: Predictions, replicates: int = 1000) -> Intervals:
    groups = rows.accumulate().group_sums
    exact = point_estimates.estimate_metrics(groups.total())
    return bootstrap.intervals(groups, exact, replicates)


Metric = Callable[[Predictions], float]
METRICS_OF_ROWS: dict[str, Metric] = {
    "loss": lambda rows: float(rows.losses.mean()),
    "f1": lambda rows: reference.f1_score(rows.label_ids, rows.probabilities[:, 1] >= 0.5),
    "brier": lambda rows: reference.brier_score_loss(rows.label_ids, rows.probabilities[:, 1]),
    "roc_auc": lambda rows: reference.roc_auc_score(rows.label_ids, rows.probabilities[:, 1]),
    "pr_auc": lambda rows: reference.average_precision_score(
        rows.label_ids, rows.probabilities[:, 1]
    ),
}


@pytest.mark.parametrize("num_rows", [60, 2000])
def test_resampled_groups_give_the_intervals_of_resampled_rows(num_rows: int) -> None:
    rows = calibrated(3, num_rows, 2)
    by_metric = intervals(rows, replicates=2000)
    rng = np.random.default_rng(0)
    samples = [rows.rows(rng.integers(0, num_rows, num_rows)) for _ in range(600)]
    for name, metric in METRICS_OF_ROWS.items():
        low, high = np.percentile([metric(sample) for sample in samples], (2.5, 97.5))
        # The width is accurate to 1 in 20, from 256 groups and from 600 samples.
        assert by_metric[name] == pytest.approx([low, high], abs=0.15 * (high - low)), name


def test_intervals_hold_the_truth_in_95_of_100_samples() -> None:
    names = ("accuracy", "precision", "recall", "f1", "loss", "brier", "roc_auc", "pr_auc")
    whole = calibrated(0, 400_000, 2).accumulate().group_sums
    truth = point_estimates.estimate_metrics(whole.total())
    samples = 200
    held = dict.fromkeys(names, 0)
    for seed in range(samples):
        by_metric = intervals(calibrated(1000 + seed, 300, 2), replicates=300)
        for name in names:
            low, high = by_metric[name] or (np.nan, np.nan)
            held[name] += low <= truth[name] <= high
    # Four standard deviations of a count of 200 at 0.95 are 0.062.
    assert {name: count / samples for name, count in held.items()} == pytest.approx(
        dict.fromkeys(names, 0.94), abs=0.05
    )


@pytest.mark.parametrize(("sharpness", "least"), [(1.0, 0.9), (1.5, 0.85)])
def test_the_interval_of_a_calibration_error_is_not_biased_by_chance(
    sharpness: float, least: float
) -> None:
    whole = calibrated(0, 400_000, 2, sharpness).accumulate().group_sums
    truth = float(np.abs(point_estimates.calibration_gaps(whole.calibration.sum(axis=0))).sum())
    held = 0
    for seed in range(100):
        low, high = intervals(calibrated(seed, 300, 2, sharpness), replicates=300)["ece"] or (1, 0)
        held += low <= truth + 0.001 and truth <= high
    assert held / 100 >= least


def test_the_estimate_lies_within_its_interval_of_the_calibration_error() -> None:
    for seed in range(30):
        rows = calibrated(seed, 40, 2, 0.5 + seed / 20)
        error = np.abs(
            point_estimates.calibration_gaps(rows.accumulate().group_sums.calibration.sum(axis=0))
        ).sum()
        low, high = intervals(rows, replicates=50)["ece"] or (1, 0)
        assert 0 <= low <= error <= high <= 1


def test_intervals_of_binned_scores_are_shifted_to_the_exact_estimate() -> None:
    groups = calibrated(0, 500, 2).accumulate().group_sums
    exact = point_estimates.estimate_metrics(groups.total())
    usual = bootstrap.intervals(groups, exact, 200)
    moved = bootstrap.intervals(groups, {**exact, "roc_auc": exact["roc_auc"] + 0.01}, 200)
    assert moved["roc_auc"] == pytest.approx([bound + 0.01 for bound in usual["roc_auc"] or ()])
    assert moved["loss"] == usual["loss"]
    beyond = bootstrap.intervals(groups, {**exact, "roc_auc": exact["roc_auc"] + 0.5}, 200)
    assert beyond["roc_auc"] == (1.0, 1.0)


def test_intervals_are_the_same_whenever_they_are_computed() -> None:
    rows = calibrated(0, 200, 3)
    assert intervals(rows) == intervals(rows)
    parts = [rows.rows(np.arange(200)[part::3]).accumulate() for part in (2, 0, 1)]
    exact = point_estimates.estimate_metrics(rows.accumulate().group_sums.total())
    assert bootstrap.intervals(
        accumulator.sum_pairwise(parts).group_sums, exact, 1000
    ) == intervals(rows)


def test_one_row_has_intervals_of_width_0_and_no_areas() -> None:
    by_metric = intervals(build_predictions([1], [[0.25, 0.75]]))
    assert by_metric["loss"] == pytest.approx([-np.log(0.75)] * 2)
    assert by_metric["f1"] == (1.0, 1.0)
    assert by_metric["roc_auc"] is None
    assert by_metric["pr_auc"] is None


def test_samples_without_an_area_are_left_out() -> None:
    # One row of class 1: a third of the samples have none.
    by_metric = intervals(build_predictions([0] * 9 + [1], [[0.75, 0.25]] * 9 + [[0.25, 0.75]]))
    assert by_metric["roc_auc"] == (1.0, 1.0)
