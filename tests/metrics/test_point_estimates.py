from __future__ import annotations

import warnings

import numpy as np
import pytest
from sklearn import metrics as reference

from drawn_predictions import calibrated, with_ties
from halftone.metrics import point_estimates
from halftone.metrics.group_sums import FIXED_POINT_ONE, GroupSums

# Hits, labels and predictions of four classes; the last never occurs, the third is only predicted.
BY_CLASS = np.array([[3, 1, 0, 0], [4, 4, 0, 0], [5, 1, 2, 0]])


def test_metrics_of_classes_by_hand() -> None:
    values = {
        name: value.tolist()
        for name, value in point_estimates.precision_recall_f1(BY_CLASS).items()
    }
    assert values == {
        "precision": [3 / 5, 1.0, 0.0, 0.0],
        "recall": [3 / 4, 1 / 4, 0.0, 0.0],
        "f1": [6 / 9, 2 / 5, 0.0, 0.0],
    }


def test_means_leave_out_classes_that_never_occur() -> None:
    macro, weighted = point_estimates.macro_and_weighted_means(BY_CLASS)
    assert macro["recall"] == pytest.approx((3 / 4 + 1 / 4 + 0) / 3, abs=1e-15)
    assert weighted["recall"] == pytest.approx((4 * 3 / 4 + 4 * 1 / 4) / 8, abs=1e-15)


def test_gaps_by_hand() -> None:
    # 4 of 10 rows with a mean confidence of 0.8, half of them right; 6 with 0.5, all right.
    calibration = np.array([[4, 6], [2, 6], [3.2 * FIXED_POINT_ONE, 3.0 * FIXED_POINT_ONE]])
    assert point_estimates.calibration_gaps(calibration).tolist() == pytest.approx(
        [-0.12, 0.3], abs=1e-15
    )


def test_the_mean_leaves_out_nan() -> None:
    values = point_estimates.nan_mean(np.array([[1.0, np.nan, 0.5], [np.nan] * 3]))
    assert values[0] == 0.75
    assert np.isnan(values[1])


@pytest.mark.parametrize("classes", [2, 3, 10])
def test_many_samples_at_once_give_the_same_as_one_by_one(classes: int) -> None:
    groups = [calibrated(seed, 60, classes).accumulate().group_sums for seed in range(3)]
    samples = [group.total() for group in groups]
    together = point_estimates.estimate_metrics(
        GroupSums(*(np.stack(arrays) for arrays in zip(*samples)))
    )
    for number, sample in enumerate(samples):
        for name, value in point_estimates.estimate_metrics(sample).items():
            assert together[name][number] == pytest.approx(value.item(), abs=1e-15), name


@pytest.mark.parametrize("classes", [2, 10])
def test_binned_scores_have_nearly_the_areas_of_the_exact_ones(classes: int) -> None:
    rows = calibrated(0, 3000, classes, sharpness=3.0)
    estimates = point_estimates.estimate_metrics(rows.accumulate().group_sums.total())
    is_positive = np.eye(classes)[rows.label_ids]
    first_class = 1 if classes == 2 else 0
    columns = is_positive[:, first_class:], rows.probabilities[:, first_class:]
    expected = reference.roc_auc_score(*columns, average="macro")
    assert estimates["roc_auc"].item() == pytest.approx(expected, abs=1e-3)
    expected = reference.average_precision_score(*columns, average="macro")
    assert estimates["pr_auc"].item() == pytest.approx(expected, abs=1e-2)


def test_nothing_is_divided_by_zero() -> None:
    empty = with_ties(0, 0, 3).accumulate().group_sums
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        values = point_estimates.estimate_metrics(empty.total())
    assert {name for name, value in values.items() if np.isnan(value)} == {"roc_auc", "pr_auc"}
    assert values["accuracy"] == values["ece"] == values["loss"] == 0
