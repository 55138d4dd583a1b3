from __future__ import annotations

import json
from typing import Any

import numpy as np
import pytest
from sklearn import metrics as reference

from drawn_predictions import Predictions, build_predictions, calibrated, with_ties
from halftone.metrics.summarise import confusion_metrics, summarise, wilson_interval

KEYS = [
    *("rows", "accuracy", "precision", "recall", "f1", "average", "labels", "confusion"),
    *("per_class", "macro", "weighted", "loss", "brier", "ece", "roc_auc", "pr_auc", "top_k"),
    *("intervals", "threshold", "temperature", "curves"),
]
INTERVALS = {
    *("accuracy", "precision", "recall", "f1", "macro_f1", "loss", "brier", "ece"),
    *("roc_auc", "pr_auc"),
}


def summary(rows: Predictions, **options: Any) -> dict[str, Any]:
    """Return the metrics as metrics.json holds them."""
    labels = [f"c{class_id}" for class_id in range(rows.probabilities.shape[1])]
    accumulator = rows.accumulate(options.get("threshold", 0.5))
    return summarise(accumulator, labels, **{"replicates": 100, **options}).to_json()


# --- by hand --------------------------------------------------------------------------------------


def test_two_classes_by_hand() -> None:
    result = confusion_metrics([[50, 10], [5, 35]], labels=["comics", "faces"]).to_json()
    assert result["rows"] == 100
    assert result["accuracy"] == 0.85
    assert result["precision"] == 35 / 45
    assert result["recall"] == 35 / 40
    assert result["f1"] == 70 / 85
    assert result["average"] == "class faces"
    assert result["per_class"]["comics"] == {
        "precision": 50 / 55,
        "recall": 50 / 60,
        "f1": 100 / 115,
        "support": 60,
        "predicted": 55,
    }
    assert result["macro"]["recall"] == pytest.approx((50 / 60 + 35 / 40) / 2, abs=1e-15)
    assert result["weighted"]["recall"] == pytest.approx(0.85, abs=1e-15)


def test_a_class_that_never_occurs_is_left_out_of_the_mean_and_one_never_hit_counts_as_0() -> None:
    result = confusion_metrics([[3, 1, 0], [2, 0, 0], [0, 0, 0]], ["a", "b", "c"]).to_json()
    assert result["recall"] == result["macro"]["recall"] == (3 / 4 + 0) / 2
    assert result["per_class"]["c"]["f1"] == 0.0
    assert result["average"] == "mean of all classes"


@pytest.mark.parametrize(
    ("right", "rows", "low", "high"),
    [
        (0, 10, 0.0, 0.277533),
        (9, 10, 0.595850, 0.982124),
        (50, 100, 0.403832, 0.596168),
        (1000, 1000, 0.996173, 1.0),
        (0, 0, 0.0, 1.0),
    ],
)
def test_wilson(right: int, rows: int, low: float, high: float) -> None:
    assert wilson_interval(right, rows) == pytest.approx((low, high), abs=1e-6)


def test_a_summary_of_two_classes_by_hand() -> None:
    rows = build_predictions([0, 0, 1, 1], [[0.75, 0.25], [0.5, 0.5], [0.25, 0.75], [1.0, 0.0]])
    result = summary(rows)
    assert list(result) == KEYS
    assert result["confusion"] == [[1, 1], [1, 1]]
    assert result["loss"] == pytest.approx(-np.log(0.75 * 0.5 * 0.75 * 1e-7) / 4, abs=1e-9)
    assert result["brier"] == (0.0625 + 0.25 + 0.0625 + 1) / 4
    # 0.5 wrong (1 is taken for 0.5), 0.75 twice right, 1 wrong.
    assert result["ece"] == (0.5 + 2 * 0.25 + 1) / 4
    assert result["roc_auc"] == 0.5
    assert result["pr_auc"] == pytest.approx((1 + 2 / 4) / 2)
    assert result["per_class"]["c0"]["roc_auc"] == 0.5
    assert result["per_class"]["c0"]["pr_auc"] == pytest.approx((1 / 2 + 2 / 3) / 2)
    assert result["top_k"] == {}
    assert result["threshold"] == {"value": 0.5, "rule": "0.5"}
    assert result["temperature"] == 1.0
    assert result["intervals"].keys() == INTERVALS
    assert result["intervals"]["accuracy"] == list(wilson_interval(2, 4))
    assert result["intervals"]["precision"] == list(wilson_interval(1, 2))
    assert result["curves"]["roc"] == {
        "c1": [[0.0, 0.0], [0.0, 0.5], [0.5, 0.5], [1.0, 0.5], [1.0, 1.0]]
    }
    assert result["curves"]["pr"]["c1"][0] == [0.0, 1.0]
    assert result["curves"]["pr"]["c1"][-1] == [1.0, 0.5]
    bins = result["curves"]["calibration"]
    assert len(bins) == 15
    assert bins[0] == {
        **{"low": 0.0, "high": 0.066667, "rows": 0, "confidence": None, "accuracy": None}
    }
    assert bins[11] == {
        **{"low": 0.733333, "high": 0.8, "rows": 2, "confidence": 0.75, "accuracy": 1.0}
    }
    scores = result["curves"]["scores"]
    assert scores["edges"][:2] == [0.0, 0.025]
    assert len(scores["edges"]) == 41
    assert {name: sum(counts) for name, counts in scores["counts"].items()} == {"c0": 2, "c1": 2}
    assert scores["counts"]["c1"][30] == 1


def test_a_threshold_changes_decisions_and_no_probabilities() -> None:
    rows = calibrated(0, 500, 2)
    usual = summary(rows)
    moved = summary(rows, threshold=0.8, rule="precision", temperature=1.25)
    assert moved["threshold"] == {"value": 0.8, "rule": "precision"}
    assert moved["temperature"] == 1.25
    expected = reference.precision_score(rows.label_ids, rows.probabilities[:, 1] >= 0.8)
    assert moved["precision"] == pytest.approx(expected, abs=1e-12)
    assert moved["precision"] > usual["precision"]
    for name in ("loss", "brier", "ece", "roc_auc", "pr_auc", "curves"):
        assert moved[name] == usual[name], name


# --- against scikit-learn -------------------------------------------------------------------------


def expected_error(rows: Predictions) -> float:
    """The expected calibration error, from its definition."""
    top = rows.probabilities.max(axis=1).astype(np.float64)
    right = rows.probabilities.argmax(axis=1) == rows.label_ids
    bins = np.digitize(top, np.linspace(0, 1, 16), right=True)
    return sum(
        abs(right[bins == each].mean() - top[bins == each].mean()) * (bins == each).mean()
        for each in np.unique(bins)
    )


@pytest.mark.parametrize("classes", [2, 3, 10])
@pytest.mark.parametrize("draw", [calibrated, with_ties])
def test_equal_to_scikit_learn(classes: int, draw: Any) -> None:
    rows = draw(classes, 500, classes)
    result = summary(rows)
    label_ids, p = rows.label_ids, rows.probabilities.astype(np.float64)
    binary, predictions = classes == 2, p.argmax(axis=1)
    if binary:
        predictions = (p[:, 1] >= 0.5).astype(int)
    assert result["confusion"] == reference.confusion_matrix(label_ids, predictions).tolist()
    expected: dict[str, Any] = {
        "accuracy": reference.accuracy_score(label_ids, predictions),
        "loss": rows.losses.mean(),
        "ece": expected_error(rows if not binary else rows._replace(probabilities=p)),
    }
    averages: dict[str, Any] = {
        average: dict(
            zip(
                ("precision", "recall", "f1"),
                reference.precision_recall_fscore_support(
                    label_ids, predictions, average=average, zero_division=0
                ),
            )
        )
        for average in ("binary" if binary else "macro", "macro", "weighted")
    }
    expected.update(averages["binary" if binary else "macro"])
    if binary:
        expected["brier"] = reference.brier_score_loss(label_ids, p[:, 1])
        expected["roc_auc"] = reference.roc_auc_score(label_ids, p[:, 1])
        expected["pr_auc"] = reference.average_precision_score(label_ids, p[:, 1])
        columns = {"c0": (label_ids == 0, -p[:, 1]), "c1": (label_ids == 1, p[:, 1])}
    else:
        ones = np.eye(classes)[label_ids]
        expected["brier"] = ((p - ones) ** 2).sum(axis=1).mean()
        expected["roc_auc"] = reference.roc_auc_score(ones, p, average="macro")
        expected["pr_auc"] = reference.average_precision_score(ones, p, average="macro")
        columns = {f"c{each}": (label_ids == each, p[:, each]) for each in range(classes)}
    assert {name: result[name] for name in expected} == pytest.approx(expected, abs=1e-9)
    assert result["macro"] == pytest.approx(averages["macro"], abs=1e-12)
    assert result["weighted"] == pytest.approx(averages["weighted"], abs=1e-12)
    for label, column in columns.items():
        areas = result["per_class"][label]
        assert areas["roc_auc"] == pytest.approx(reference.roc_auc_score(*column), abs=1e-9)
        assert areas["pr_auc"] == pytest.approx(
            reference.average_precision_score(*column), abs=1e-9
        )


def test_top_k_is_that_of_scikit_learn() -> None:
    rows = calibrated(0, 500, 10)
    result = summary(rows, top_ks=(2, 5, 9, 10, 20))["top_k"]
    assert list(result) == ["2", "5", "9"]
    for k, share in result.items():
        expected = reference.top_k_accuracy_score(rows.label_ids, rows.probabilities, k=int(k))
        assert share == pytest.approx(expected, abs=1e-12)


# --- samples that lack something ------------------------------------------------------------------


def test_a_class_that_never_occurs() -> None:
    rows = calibrated(0, 300, 4)
    rows = rows.rows(np.flatnonzero(rows.label_ids != 2))
    result = summary(rows)
    assert result["per_class"]["c2"]["support"] == 0
    assert result["per_class"]["c2"]["roc_auc"] is None
    assert result["per_class"]["c2"]["pr_auc"] is None
    assert result["curves"]["roc"].keys() == {"c0", "c1", "c3"}
    others = [
        reference.roc_auc_score(rows.label_ids == each, rows.probabilities[:, each])
        for each in (0, 1, 3)
    ]
    assert result["roc_auc"] == pytest.approx(np.mean(others), abs=1e-9)


@pytest.mark.parametrize("classes", [2, 3])
def test_one_row(classes: int) -> None:
    result = summary(calibrated(0, 1, classes))
    assert result["rows"] == 1
    assert result["roc_auc"] is None
    assert result["pr_auc"] is None
    assert result["intervals"]["roc_auc"] is None
    assert result["curves"]["roc"] == result["curves"]["pr"] == {}
    json.dumps(result, allow_nan=False)


@pytest.mark.parametrize("classes", [2, 3])
def test_all_right_and_all_wrong(classes: int) -> None:
    certain = np.eye(classes)[np.arange(60) % classes]
    right = summary(build_predictions(np.arange(60) % classes, certain))
    for name in ("accuracy", "precision", "recall", "f1", "roc_auc", "pr_auc"):
        assert right[name] == 1, name
    assert right["loss"] == right["brier"] == right["ece"] == 0
    assert right["intervals"]["ece"] == [0, 0]
    assert right["intervals"]["accuracy"] == [pytest.approx(0.93982, abs=1e-5), 1]
    wrong = summary(build_predictions((np.arange(60) + 1) % classes, certain))
    for name in ("accuracy", "precision", "recall", "f1"):
        assert wrong[name] == 0, name
    assert wrong["loss"] == pytest.approx(-np.log(1e-7), abs=1e-9)
    assert wrong["ece"] == 1
    assert wrong["intervals"]["recall"][0] == 0


def test_the_precision_of_a_class_that_is_never_predicted_has_the_widest_interval() -> None:
    result = summary(build_predictions([0, 1], [[0.9, 0.1], [0.8, 0.2]]))
    assert result["precision"] == 0
    assert result["intervals"]["precision"] == [0.0, 1.0]


@pytest.mark.parametrize("classes", [2, 10, 100])
def test_the_metrics_are_small_json(classes: int) -> None:
    rows = calibrated(0, 4000, classes)
    result = summary(rows)
    assert json.loads(json.dumps(result, allow_nan=False)) == result
    assert result["threshold"] == ({"value": 0.5, "rule": "0.5"} if classes == 2 else None)
    longest = max(map(len, result["curves"]["roc"].values()))
    assert longest <= (201 if classes <= 20 else 40)
    assert result["curves"]["scores"]["counts"].keys() == (
        {"c0", "c1"} if classes == 2 else {"wrong", "right"}
    )


def test_no_rows() -> None:
    with pytest.raises(ValueError, match=r"^metrics of no rows$"):
        summary(calibrated(0, 0, 2))
