from __future__ import annotations

import numpy as np
import pytest
from sklearn import metrics as reference

from halftone import metrics


def test_two_classes_by_hand() -> None:
    result = metrics.summarise([[50, 10], [5, 35]], loss_sum=25.0, labels=["comics", "faces"])
    assert result["rows"] == 100
    assert result["accuracy"] == 0.85
    assert result["precision"] == 35 / 45
    assert result["recall"] == 35 / 40
    assert result["f1"] == 70 / 85
    assert result["loss"] == 0.25
    assert result["average"] == "class faces"
    assert result["per_class"]["comics"] == {
        "precision": 50 / 55,
        "recall": 50 / 60,
        "f1": 100 / 115,
        "support": 60,
        "predicted": 55,
    }


@pytest.mark.parametrize("classes", [2, 3, 10])
def test_equal_to_scikit_learn(classes: int) -> None:
    rng = np.random.default_rng(classes)
    labels = rng.integers(0, classes, 500)
    predictions = np.where(rng.random(500) < 0.6, labels, rng.integers(0, classes, 500))
    confusion = reference.confusion_matrix(labels, predictions)
    result = metrics.summarise(confusion.tolist(), 0.0, [str(n) for n in range(classes)])
    average = "binary" if classes == 2 else "macro"
    precision, recall, f1, _ = reference.precision_recall_fscore_support(
        labels, predictions, average=average
    )
    assert result["accuracy"] == pytest.approx(
        reference.accuracy_score(labels, predictions), abs=1e-12
    )
    assert result["precision"] == pytest.approx(precision, abs=1e-12)
    assert result["recall"] == pytest.approx(recall, abs=1e-12)
    assert result["f1"] == pytest.approx(f1, abs=1e-12)


def test_a_class_that_never_occurs_is_left_out_of_the_mean_and_one_never_hit_counts_0() -> None:
    result = metrics.summarise([[3, 1, 0], [2, 0, 0], [0, 0, 0]], 0.0, ["a", "b", "c"])
    assert result["recall"] == (3 / 4 + 0) / 2
    assert result["per_class"]["c"]["f1"] == 0.0
