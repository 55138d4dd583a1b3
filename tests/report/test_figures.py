"""The figures: their alternative texts, their own text, and when there is nothing to draw."""

from __future__ import annotations

import re
from typing import Any

import pytest

from halftone.metrics.model import Metrics, SplitScores
from halftone.report import areas, distribution, reliability
from halftone.report.plots import ThemedFigure
from report_pages import (
    FACES,
    TEN,
    a_card,
    a_history,
    changed,
    full_metrics,
    old_metrics,
    read,
    spread,
    svg,
)


def texts(figure: ThemedFigure) -> set[str]:
    """Return the texts in a figure; they are the same in both themes."""
    light, dark = (set(re.findall(r">([^<>\n]+)</text>", svg(uri))) for uri in figure[:2])
    assert light == dark
    return light


# --- ROC and precision-recall ---------------------------------------------------------------------


def two_classes(**changes: Any) -> SplitScores:
    curves = {
        "roc": {"faces": [[0.0, 0.0], [0.1, 0.9], [1.0, 1.0]]},
        "pr": {"faces": [[0.0, 1.0], [0.9, 0.9], [1.0, 0.5]]},
    }
    content = {"curves": curves, "roc_auc": 0.9, "pr_auc": 0.95, **changes}
    return changed(old_metrics([[180, 20], [10, 190]], FACES), **content)


def test_the_curves_of_two_classes_mark_the_threshold() -> None:
    roc, pr = areas.draw_curves(two_classes(threshold={"value": 0.4, "rule": "0.4"}))
    assert roc.alt == (
        "ROC curve of class faces, area 0.9000. At threshold 0.4, 95.00% of faces are found, and "
        "10.00% of comics are taken for it."
    )
    # 190 / 210
    assert pr.alt == (
        "Precision-recall curve of class faces, area 0.9500. At threshold 0.4, the recall is "
        "0.9500 and the precision 0.9048."
    )
    assert {"ROC: faces", "area 0.9000", "threshold 0.4", "by chance"} <= texts(roc)
    assert {"false positive rate", "true positive rate"} <= texts(roc)
    assert {"Precision-recall: faces", "area 0.9500", "recall", "precision"} <= texts(pr)
    assert "by chance" not in texts(pr)


def test_a_model_that_never_predicts_the_class_has_no_precision() -> None:
    metrics = two_classes(confusion=[[200, 0], [200, 0]])
    _, pr = areas.draw_curves(metrics)
    assert "the recall is 0.0000 and the precision n/a." in pr.alt
    assert "threshold 0.5" not in texts(pr)


def test_the_weakest_of_many_classes_have_a_line_and_a_name() -> None:
    content = full_metrics(TEN).to_json()
    for class_id, label in enumerate(TEN):
        content["per_class"][label]["roc_auc"] = 0.9 - class_id / 100
    content["roc_auc"] = 0.855
    roc, pr = areas.draw_curves(SplitScores.model_validate(content))
    assert roc.alt == (
        "ROC curves of 10 classes, each against the rest: mean area 0.8550; smallest areas: "
        "class 9 0.8100, class 8 0.8200, class 7 0.8300."
    )
    assert {"0.8550 mean of all", "0.8100 class 9", "range of all classes"} <= texts(roc)
    assert "0.8400 class 6" not in texts(roc)
    assert pr.alt.startswith("Precision-recall curves of 10 classes, each against the rest: mean")


def test_a_class_without_rows_has_no_curve() -> None:
    metrics = full_metrics(TEN)
    curves = metrics.to_json()["curves"]
    for kind in ("roc", "pr"):
        curves[kind] = {label: curves[kind][label] for label in TEN[:2]}
    roc, _ = areas.draw_curves(changed(metrics, curves=curves))
    assert roc.alt.startswith("ROC curves of 2 classes, each against the rest")
    assert areas.draw_curves(changed(metrics, curves={"roc": {}, "pr": {}})) == []


# --- reliability ----------------------------------------------------------------------------------


def bins(*filled: tuple[float, int, float, float]) -> Metrics:
    """Return metrics with bins of (low, rows, confidence, accuracy), each a fifth wide."""
    values_by_low = {low: values for low, *values in filled}
    calibration = []
    for low in (0.0, 0.2, 0.4, 0.6, 0.8):
        rows, confidence, accuracy = values_by_low.get(low, (0, None, None))
        calibration.append(
            {"low": low, "high": round(low + 0.2, 1), "rows": rows, "confidence": confidence,
             "accuracy": accuracy}
        )  # fmt: skip
    rows = sum(each["rows"] for each in calibration)
    return old_metrics(spread(2), FACES, rows=rows, curves={"calibration": calibration})


def test_reliability_in_words() -> None:
    figure = reliability.draw_reliability_diagram(
        bins((0.6, 10, 0.7, 0.4), (0.8, 1000, 0.95, 0.94))
    )
    assert figure is not None
    assert figure.alt == (
        "Reliability diagram of 1,010 images in 2 bins by the probability of the most probable "
        "class. The fullest bin is 0.8000 to 1.0000 with 1,000 images, mean probability 0.9500 and "
        "accuracy 0.9400. The largest part of the calibration error is from 0.8000 to 1.0000 with "
        "1,000 images, mean probability 0.9500 and accuracy 0.9400."
    )
    assert {"as sure as right", "images of a bin", "accuracy", "images"} <= texts(figure)


@pytest.mark.parametrize(
    ("accuracy", "words"),
    [
        (
            0.90,
            "overconfident: the most probable class has 0.9500 on average, and is right for 0.9000",
        ),
        (0.97, "underconfident: the most probable class has 0.9500 on average"),
        (0.949, "well calibrated: the most probable class has 0.9500 on average"),
    ],
)
def test_whether_the_model_is_overconfident(accuracy: float, words: str) -> None:
    assert f"On the whole the model is {words}" in str(
        reliability.describe_confidence(bins((0.8, 100, 0.95, accuracy)))
    )


def test_every_bin_in_numbers() -> None:
    page = read(FACES, metrics=full_metrics(FACES))
    start = page.rows.index(["Probability", "Images", "Mean probability", "Accuracy"])
    rows = page.rows[start + 1 : start + 16]
    # Of two classes the most probable one has a probability of 0.5 or more.
    assert rows[0] == ["0.0000 to 0.0667", "0", "n/a", "n/a"]
    assert sum(int(row[1].replace(",", "")) for row in rows) == 2000


# --- distribution ---------------------------------------------------------------------------------


def scores(groups: dict[str, list[int]], labels: list[str], **changes: Any) -> SplitScores:
    curves = {"scores": {"edges": [0.0, 0.25, 0.5, 0.75, 1.0], "counts": groups}}
    return old_metrics(spread(len(labels)), labels, curves=curves, **changes)


def test_scores_of_two_classes_are_by_true_class() -> None:
    groups = {"comics": [150, 30, 20, 0], "faces": [0, 0, 100, 100]}
    figure = distribution.draw_score_histograms(
        scores(groups, FACES, threshold={"value": 0.4, "rule": "0.4"})
    )
    assert figure is not None
    assert figure.alt == (
        "Histograms of the probability of faces, by true class. comics: 200 images, the middle one "
        "at 0.0000 to 0.2500; faces: 200 images, the middle one at 0.5000 to 0.7500."
    )
    assert {"comics", "faces", "probability of faces", "threshold 0.4"} <= texts(figure)
    assert {"0", "1", "10", "100"} <= texts(figure)


def test_scores_of_more_classes_are_by_right_and_wrong() -> None:
    figure = distribution.draw_score_histograms(
        scores({"wrong": [0] * 4, "right": [0, 0, 0, 1]}, TEN)
    )
    assert figure is not None
    assert figure.alt == (
        "Histograms of the probability of the most probable class, of right and wrong answers. "
        "wrong: no image; right: 1 image, the middle one at 0.7500 to 1.0000."
    )
    assert not any("threshold" in text for text in texts(figure))


def test_an_older_metrics_json_has_no_figures() -> None:
    older = old_metrics(spread(2), FACES)
    assert areas.draw_curves(older) == []
    assert (
        reliability.draw_reliability_diagram(older)
        is reliability.describe_confidence(older)
        is None
    )
    assert distribution.draw_score_histograms(older) is None


# --- training -------------------------------------------------------------------------------------


def test_curves_mark_the_chosen_epoch_in_both_themes() -> None:
    page = read(FACES, history=a_history(20))
    assert len(page.svgs()) == 4  # loss and accuracy, light and dark
    assert all("chosen: epoch 3" in each and "validation" in each for each in page.svgs())
    assert [row for row in page.rows if "chosen" in row[0]] == [
        ["3 (chosen)", "0.3333", "0.8667", "0.5000", "0.8333", "2.5 s", "1,520"]
    ]
    assert page.alts()[0] == (
        "Loss over epochs 1 to 20: train from 1.0000 to 0.0500, validation from 1.5000 to 0.0750; "
        "epoch 3 was chosen."
    )


def test_one_epoch_is_one_tick() -> None:
    page = read(FACES, history=a_history(1), card=a_card(FACES, best_epoch=1))
    for each in page.svgs():
        assert each.count('id="xtick_') == 1


def test_many_epochs_have_no_markers() -> None:
    few, many = (read(FACES, history=a_history(epochs)).svgs()[0] for epochs in (30, 31))
    assert len(few) > len(many)


def test_without_validation_the_page_does_not_mention_it() -> None:
    page = read(FACES, history=a_history(20, validation=False))
    assert not any("validation" in each for each in page.svgs())
    assert "Validation loss" not in page.text


def test_a_loss_of_nan_is_in_the_table_and_not_in_the_figure() -> None:
    nan = float("nan")
    history = [{**entry, "loss": nan, "val_loss": nan} for entry in a_history(4)]
    page = read(FACES, history=history)
    assert ["1", "nan", "0.6000", "nan", "0.5000", "2.5 s", "1,520"] in page.rows
