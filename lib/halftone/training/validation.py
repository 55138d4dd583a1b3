"""Score the validation split: sums of metrics, and where needed F1 or the area under the ROC curve.

F1 and area are computed from counts that are added over all ranks, in the same way as scoring
computes `f1` and `roc_auc` in metrics.json: for two classes those of the second one, for more the
mean over classes.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from operator import add
from typing import Any, Optional

import numpy as np
import numpy.typing as npt
import tensorflow as tf

from halftone.metrics import point_estimates, score_counts, thresholds
from halftone.metrics.accumulator import MAX_SCORES, sum_pairwise
from halftone.metrics.score_counts import ScoreCounts
from halftone.metrics.summarise import confusion_metrics
from halftone.training import collectives
from halftone.training.distributed_model import DistributedModel

VAL_F1, VAL_AUC = "val_f1", "val_auc"


@dataclass(frozen=True, eq=False)
class _RowCounts:
    """Counts of rows; `+` adds those of other rows."""

    confusion: npt.NDArray[np.int64]  # (classes, classes): by label and prediction
    scores: tuple[ScoreCounts, ...]  # by class, of two classes the second one; () without areas

    def __add__(self, other: _RowCounts) -> _RowCounts:
        return _RowCounts(
            self.confusion + other.confusion, tuple(map(add, self.scores, other.scores))
        )


class Validator:
    """Scores validation batches with a model.

    Args:
        labels: the classes, in the order of their ids.
        best_by: the setting; `val_f1` and `val_auc` are computed only if it names them.
    """

    def __init__(self, model: DistributedModel, labels: Sequence[str], best_by: str) -> None:
        self._model, self._labels, self._best_by = model, labels, best_by
        self._score_rows = tf.function(model.score_rows)

    def score(self, batches: tf.data.Dataset, steps: int) -> dict[str, Optional[float]]:
        """Score the batches of this rank; afterwards `model.metrics` has their sums.

        Returns:
            `val_f1` or `val_auc` over all ranks if `best_by` is one of them. An area is None if no
            class has rows on both sides.
        """
        self._model.reset_metrics()
        if self._best_by not in (VAL_F1, VAL_AUC):
            for batch in batches.take(steps):
                self._score_rows(*batch)
            return {}
        counts = sum_pairwise(self._count_batch(*batch) for batch in batches.take(steps))
        total = sum_pairwise(collectives.gather(counts))
        if self._best_by == VAL_F1:
            return {VAL_F1: confusion_metrics(total.confusion, self._labels).f1}
        areas = [score_counts.roc_auc(*scores.split_by_class()) for scores in total.scores]
        area = float(point_estimates.nan_mean(np.array(areas)))
        return {VAL_AUC: None if math.isnan(area) else area}

    def _count_batch(self, pixels: tf.Tensor, labels: tf.Tensor, weights: tf.Tensor) -> _RowCounts:
        scores: npt.NDArray[Any] = self._score_rows(pixels, labels, weights).numpy()
        is_row = weights.numpy() > 0  # others fill the last batch
        scores, label_ids = scores[is_row], labels.numpy()[is_row, 0]
        num_classes = len(self._labels)
        probabilities = np.hstack([1 - scores, scores]) if num_classes == 2 else scores
        cells = label_ids * num_classes + thresholds.predict_classes(probabilities)
        confusion = np.bincount(cells, minlength=num_classes**2)
        has_areas = self._best_by == VAL_AUC
        first_class = num_classes - scores.shape[1]  # of the scores
        return _RowCounts(
            confusion.reshape(num_classes, num_classes),
            tuple(
                score_counts.count_scores(
                    column, label_ids == class_id, MAX_SCORES // scores.shape[1]
                )
                for class_id, column in enumerate(scores.T if has_areas else (), first_class)
            ),
        )
