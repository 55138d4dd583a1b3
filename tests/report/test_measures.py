"""The table of measures, from metrics.json of this and of older versions."""

from __future__ import annotations

import re
from typing import Any, Optional

import pytest

from halftone.config import Config
from halftone.metrics.model import SplitScores
from halftone.report import measures
from report_pages import (
    FACES,
    TEN,
    a_card,
    a_manifest,
    a_page,
    changed,
    full_metrics,
    old_metrics,
    read,
    spread,
)


def test_an_older_metrics_json() -> None:
    page = read(FACES, metrics=old_metrics([[193, 7], [3, 197]], FACES))
    # By hand: 390 / 400; precision 197 / 204, recall 197 / 200, F1 = 394 / 404. The interval is
    # the two p for which |0.975 - p| = 1.959964 sqrt(p (1 - p) / 400).
    assert (
        "97.50% of 400 test images are classified correctly (95% interval 95.46% to 98.64%); "
        "F1 0.9752 (class faces)." in page.words()
    )
    start = page.rows.index(["Measure", "Value", "95% interval"])
    assert page.rows[start + 1 : start + 9] == [
        ["Correct", "390", ""],
        ["Wrong", "10", ""],
        ["Accuracy", "0.9750", "0.9546 to 0.9864"],
        ["Accuracy of always answering comics", "0.5000", ""],
        ["Precision", "0.9657", ""],
        ["Recall", "0.9850", ""],
        ["F1", "0.9752", ""],
        ["Loss (cross-entropy, nats)", "0.0775", ""],
    ]
    assert ["comics", "0.9847", "0.9650", "0.9747", "200"] in page.rows
    assert "Mean by images" not in page.text


def test_a_metrics_json_of_two_classes() -> None:
    scores = changed(
        full_metrics(FACES),
        accuracy=0.9, precision=0.8, recall=0.7, f1=0.6, loss=0.5, brier=0.4, ece=0.3,
        roc_auc=0.95, pr_auc=None, macro={"precision": 0.81, "recall": 0.71, "f1": 0.61},
        weighted={"precision": 0.82, "recall": 0.72, "f1": 0.62},
        intervals={"accuracy": [0.88, 0.92], "macro_f1": [0.6, 0.65], "pr_auc": None},
    )  # fmt: skip
    page = read(FACES, metrics=scores)
    start = page.rows.index(["Accuracy", "0.9000", "0.8800 to 0.9200"])
    assert page.rows[start + 2 : start + 11] == [
        ["Precision", "0.8000", ""],
        ["Recall", "0.7000", ""],
        ["F1", "0.6000", ""],
        ["F1, mean of both classes", "0.6100", "0.6000 to 0.6500"],
        ["Area under ROC", "0.9500", ""],
        ["Area under precision-recall", "n/a", ""],
        ["Loss (cross-entropy, nats)", "0.5000", ""],
        ["Brier score", "0.4000", ""],
        ["Calibration error (ECE)", "0.3000", ""],
    ]
    head = ["Class", "Precision", "Recall", "F1", "ROC", "PR", "Images"]
    start = page.rows.index(head)
    faces = scores.per_class["faces"]
    ratios = (faces.precision, faces.recall, faces.f1, faces.roc_auc, faces.pr_auc)
    assert page.rows[start + 2] == [
        "faces",
        *(f"{value:.4f}" for value in ratios),
        f"{faces.support:,}",
    ]
    assert page.rows[start + 3 : start + 5] == [
        ["Mean", "0.8100", "0.7100", "0.6100", "", "", ""],
        ["Mean by images", "0.8200", "0.7200", "0.6200", "", "", ""],
    ]


def test_a_metrics_json_of_more_classes() -> None:
    content = full_metrics(TEN).to_json()
    content.update(top_k={"5": 0.97, "2": 0.8, "10": 1.0})
    content["per_class"]["class 3"].update(roc_auc=None, pr_auc=None, support=0)
    content["curves"].update(roc={}, pr={})
    page = read(TEN, metrics=SplitScores.model_validate(content))
    measured = [row[0] for row in page.rows if len(row) == 3]
    # In numerical order.
    assert measured[measured.index("Accuracy") + 2 :][:4] == [
        "Among the 2 most probable",
        "Among the 5 most probable",
        "Among the 10 most probable",
        "Precision",
    ]
    assert "F1, mean of both classes" not in page.text
    row = next(row for row in page.rows if row[0] == "class 3" and len(row) == 7)
    assert row[4:] == ["n/a", "n/a", "0"]


def test_every_interval_of_metrics_json_is_on_the_page() -> None:
    for labels in (FACES, TEN):
        scores = full_metrics(labels)
        shown = measures.list_measures(scores)
        missing = set(scores.intervals or {}) - {name for name in shown if shown[name].interval}
        # For more than two classes, F1 is the mean F1.
        assert missing == (set() if labels is FACES else {"macro_f1"})


def test_wilson_stays_between_0_and_1() -> None:
    # Wilson at 400 of 400: 400 / (400 + 1.959964 ** 2)
    page = read(FACES, metrics=old_metrics([[200, 0], [0, 200]], FACES))
    assert ["Accuracy", "1.0000", "0.9905 to 1.0000"] in page.rows


# --- threshold and temperature --------------------------------------------------------------------


@pytest.mark.parametrize(
    ("changes", "sentences"),
    [
        ({"threshold": {"value": 0.5, "rule": "0.5"}, "temperature": 1.0}, []),
        ({"threshold": None, "temperature": 1.0}, []),
        ({}, []),
        (
            {"threshold": {"value": 0.37125, "rule": "best_f1"}},
            [
                "An image is assigned to class faces from a probability of 0.3713 on: where F1 is "
                "best on the validation split."
            ],
        ),
        (
            {"threshold": {"value": 0.9, "rule": "precision"}, "temperature": 1.83},
            [
                "An image is assigned to class faces from a probability of 0.9000 on: the lowest "
                "with the wanted precision on the validation split.",
                "Probabilities are scaled by a temperature of 1.8300, fitted on the "
                "validation split: without it the model was overconfident.",
            ],
        ),
        (
            {"threshold": {"value": 0.3, "rule": "0.3"}, "temperature": 0.8},
            [
                "An image is assigned to class faces from a probability of 0.3000 on: set by hand.",
                "Probabilities are scaled by a temperature of 0.8000, fitted on the "
                "validation split: without it the model was underconfident.",
            ],
        ),
    ],
)
def test_threshold_and_temperature_are_described_unless_they_are_the_defaults(
    changes: dict[str, Any], sentences: list[str]
) -> None:
    scores = old_metrics(spread(2), FACES, **changes)
    assert measures.describe_decision_rule(scores) == sentences
    words = read(FACES, metrics=scores).words()
    assert all(sentence in words for sentence in sentences)


@pytest.mark.parametrize(
    ("views", "sentences"),
    [
        (None, []),
        ("none", []),
        (
            "flip",
            ["Probabilities are means over views of each image: the image and its mirror image."],
        ),
    ],
)
def test_views_are_described(views: Optional[str], sentences: list[str]) -> None:
    scores = old_metrics(spread(2), FACES, views=views)
    assert measures.describe_views(scores) == sentences
    words = read(FACES, metrics=scores).words()
    assert ("means over views" in words) == bool(sentences)
    assert all(sentence in words for sentence in sentences)


# --- cautions -------------------------------------------------------------------------------------


def caution(**changes: Any) -> Optional[str]:
    match = re.search(r'<p class="caution">(.*?)</p>', a_page(FACES, **changes))
    return match and match.group(1)


def test_scores_on_a_split_that_was_used_in_training_have_a_caution() -> None:
    assert caution(metrics=old_metrics(spread(2), FACES)) is None
    assert "trained on" in str(caution(metrics=old_metrics(spread(2), FACES, split="train")))
    on_validation = caution(metrics=old_metrics(spread(2), FACES, split="validation"))
    assert "epoch was chosen on" in str(on_validation)


def test_another_dataset_is_named_and_has_a_caution_if_its_splits_differ() -> None:
    grown = old_metrics(spread(2), FACES, fingerprint="another")
    assert caution(metrics=grown) is None
    assert "Trained on the dataset with fingerprint" in a_page(FACES, metrics=grown)
    assert "other splits" in str(caution(metrics=grown, manifest=a_manifest(FACES, seed=8)))
    config = Config.model_validate({"seed": 8})
    assert "other splits" in str(caution(metrics=grown, card=a_card(FACES, config=config)))


def test_a_class_that_was_stratified_in_another_way_has_a_caution() -> None:
    grown = old_metrics(spread(2), FACES, fingerprint="another")
    salts = {FACES[0]: 3}
    card = a_card(FACES, split_salts=salts)
    # Classes that only one of the two has do not count.
    same = a_manifest(FACES, split_salts={**salts, "new": 5})
    assert caution(metrics=grown, card=card, manifest=same) is None
    for manifest in (a_manifest(FACES), a_manifest(FACES, split_salts={FACES[0]: 4})):
        assert "other splits" in str(caution(metrics=grown, card=card, manifest=manifest))
