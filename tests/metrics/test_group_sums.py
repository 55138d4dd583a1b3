from __future__ import annotations

import numpy as np
import pytest

from halftone.metrics import group_sums
from halftone.metrics.group_sums import CALIBRATION_BINS, FIXED_POINT_ONE, NUM_GROUPS

ONE_GROUP = np.zeros(10, np.int64)


def test_count_cells() -> None:
    counts = group_sums.count_cells((2, 3), np.array([0, 1, 1, 1]), np.array([2, 0, 1, 0]))
    assert counts.tolist() == [[0, 0, 1], [2, 1, 0]]
    with pytest.raises(ValueError, match="invalid entry in coordinates array"):
        group_sums.count_cells((2, 3), np.array([0]), np.array([3]))


def test_rows_are_summed_up_in_their_groups() -> None:
    groups, label_ids, predictions = np.array([3, 3, 255]), np.array([0, 1, 1]), np.array([0, 0, 1])
    by_class = group_sums.count_by_class(groups, label_ids, predictions, 2)
    assert by_class.shape == (NUM_GROUPS, 3, 2)
    assert by_class[3].tolist() == [[1, 0], [1, 1], [2, 0]]
    assert by_class[255].tolist() == [[0, 1], [0, 1], [0, 1]]
    assert by_class.sum() == 8


def test_losses_are_integers_in_small_units() -> None:
    scores, is_positive = np.array([[0.25], [0.5]], np.float32), np.array([[True], [False]])
    losses = group_sums.sum_losses(np.array([7, 7]), np.array([0.7, 2.0]), scores, is_positive)
    assert losses[7].tolist() == [751619277 + 2 * 2**30, (0.5625 + 0.25) * 2**30]
    assert losses.dtype == np.int64


def test_a_calibration_bin_includes_its_upper_edge() -> None:
    fifth = np.float32(0.2)  # a little more than 3 / 15
    confidences = np.array(
        [0.0, 0.01, np.nextafter(fifth, np.float32(0)), fifth, 0.5, 1.0], np.float32
    )
    rows, hits, confidence = group_sums.sum_calibration(
        ONE_GROUP[:6], confidences, np.array([True, False, True, True, False, True])
    )[0]
    assert {bin_id: rows[bin_id] for bin_id in rows.nonzero()[0]} == {0: 2, 2: 1, 3: 1, 7: 1, 14: 1}
    assert hits.nonzero()[0].tolist() == [0, 2, 3, 14]
    assert confidence[[7, 14]].tolist() == [FIXED_POINT_ONE // 2, FIXED_POINT_ONE]
    assert len(rows) == CALIBRATION_BINS == 15


def test_scores_are_binned_by_log_odds() -> None:
    scores = [0, 1e-30, 1e-6, 0.001, 0.4, 0.5, 0.6, 0.999, 0.999999, 1]
    binned = group_sums.count_binned_scores(
        ONE_GROUP, np.array([scores], np.float32).T, np.array([[True] * 9 + [False]]).T
    )
    assert binned.shape == (NUM_GROUPS, 2, 1, 1024)
    negatives, positives = binned[0, :, 0]
    # The log odds of 0.001 are -6.907, those at the ends 16.636: (1 - 0.415) / 2 * 1024 is 299.4.
    assert {bin_id: positives[bin_id] for bin_id in positives.nonzero()[0]} == {
        **{0: 2, 86: 1, 299: 1, 499: 1, 512: 1, 524: 1, 724: 1, 936: 1},
    }
    assert negatives.nonzero()[0].tolist() == [1023]


@pytest.mark.parametrize(("curves", "bins"), [(1, 1024), (10, 102), (64, 16), (1000, 16)])
def test_more_curves_have_fewer_bins_each(curves: int, bins: int) -> None:
    binned = group_sums.count_binned_scores(
        ONE_GROUP[:1], np.full((1, curves), 0.5, np.float32), np.zeros((1, curves), bool)
    )
    assert binned.shape == (NUM_GROUPS, 2, curves, bins)
    assert binned.dtype == np.int32
