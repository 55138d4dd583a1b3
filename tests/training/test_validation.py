"""F1 and area of validation rows, compared with scikit-learn, on 1 and more ranks."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import tensorflow as tf
from sklearn.metrics import f1_score, roc_auc_score

from halftone.config import TrainSettings
from halftone.training import collectives, epoch_metrics
from halftone.training.distributed_model import DistributedModel
from halftone.training.validation import Validator

ROWS = 301


def scoring_model(num_classes: int) -> DistributedModel:
    """A model that returns its inputs as probabilities."""
    inputs = tf.keras.Input((1 if num_classes == 2 else num_classes,))
    model = DistributedModel(inputs, tf.keras.layers.Activation("linear")(inputs))
    model.compile_for_training(TrainSettings(), num_classes, steps_per_epoch=1)
    return model


def example_rows(num_classes: int) -> tuple[np.ndarray, np.ndarray]:
    """Scores (N, 1 or classes) with many ties, and labels (N,)."""
    rng = np.random.default_rng(num_classes)
    labels = rng.choice(
        num_classes, ROWS, p=np.arange(1, num_classes + 1) / np.arange(1, num_classes + 1).sum()
    )
    scores = rng.integers(1, 20, (ROWS, num_classes)) + 8 * np.eye(num_classes)[labels]
    scores = (scores / scores.sum(axis=1, keepdims=True)).round(2).astype(np.float32)
    scores[:, 0] = 1 - scores[:, 1:].sum(axis=1)
    return (scores[:, 1:] if num_classes == 2 else scores), labels


def batches_of(scores: np.ndarray, labels: np.ndarray, size: int) -> tuple[tf.data.Dataset, int]:
    """Batches whose last one is filled by rows of weight 0."""
    steps = -(-len(labels) // size)
    order = np.arange(steps * size)
    weights = (order < len(labels)).astype(np.float32)
    order = order % len(labels)
    data = (scores[order], labels[order, np.newaxis].astype(np.int32), weights)
    return tf.data.Dataset.from_tensor_slices(data).batch(size), steps


@pytest.mark.parametrize("num_classes", [2, 4])
@pytest.mark.parametrize("num_ranks", [1, 3])
@pytest.mark.parametrize("best_by", ["val_f1", "val_auc"])
def test_values_are_those_of_scikit_learn_over_all_ranks(
    monkeypatch: pytest.MonkeyPatch, num_classes: int, num_ranks: int, best_by: str
) -> None:
    scores, labels = example_rows(num_classes)
    if best_by == "val_f1":
        predictions = scores[:, 0] >= 0.5 if num_classes == 2 else scores.argmax(axis=1)
        average = "binary" if num_classes == 2 else "macro"
        expected = f1_score(labels, predictions, average=average)
    elif num_classes == 2:
        expected = roc_auc_score(labels, scores[:, 0])
    else:
        classes = range(num_classes)
        expected = np.mean([roc_auc_score(labels == each, scores[:, each]) for each in classes])
    parts: list[Any] = []

    def gather(value: Any) -> list[Any]:
        parts.append(value)
        return list(parts)

    monkeypatch.setattr(collectives, "gather", gather)
    names = [f"class {number}" for number in range(num_classes)]
    for rank in range(num_ranks):
        rows = slice(ROWS * rank // num_ranks, ROWS * (rank + 1) // num_ranks)
        validator = Validator(scoring_model(num_classes), names, best_by)
        values = validator.score(*batches_of(scores[rows], labels[rows], 16))
    assert values == {best_by: pytest.approx(expected, abs=1e-9)}


def test_rank_without_rows_adds_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    scores, labels = example_rows(2)
    model = scoring_model(2)
    validator = Validator(model, ["a", "b"], "val_auc")
    expected = validator.score(*batches_of(scores, labels, 16))
    parts: list[Any] = []
    monkeypatch.setattr(collectives, "gather", lambda value: parts.append(value) or [*parts])
    empty = tf.data.Dataset.from_tensors(
        (np.zeros((4, 1), np.float32), np.zeros((4, 1), np.int32), np.zeros(4, np.float32))
    )
    assert validator.score(empty, 1) == {"val_auc": None}
    assert validator.score(*batches_of(scores, labels, 16)) == expected


def test_area_of_a_single_class_is_unknown() -> None:
    scores, labels = example_rows(2)
    only = labels == 1
    validator = Validator(scoring_model(2), ["a", "b"], "val_auc")
    assert validator.score(*batches_of(scores[only], labels[only], 16)) == {"val_auc": None}


def test_sums_are_of_each_row_once() -> None:
    scores, labels = example_rows(2)
    model = scoring_model(2)
    validator = Validator(model, ["a", "b"], "val_loss")
    for _ in range(2):
        assert validator.score(*batches_of(scores, labels, 16)) == {}
        (loss, rows), (hits, _) = epoch_metrics.reduce_sums(model)
        assert rows == ROWS
        assert hits == ((scores[:, 0] > 0.5) == labels).sum()
        chosen = np.where(labels == 1, scores[:, 0], 1 - scores[:, 0]).astype(np.float64)
        assert loss == pytest.approx(-np.log(np.clip(chosen, 1e-7, 1)).sum(), rel=1e-5)
