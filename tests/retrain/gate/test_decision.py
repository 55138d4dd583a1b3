from __future__ import annotations

from collections import Counter
from typing import Any, Optional

import pytest

from halftone.config import GateSettings
from halftone.retrain.gate.decision import (
    KEEP,
    PROMOTE,
    REFUSE,
    SlicePair,
    decide_promotion,
    decide_without_comparison,
)
from halftone.retrain.gate.paired_counts import CellCounts, PairedCounts
from report_pages import some_slices

LABELS = ["comic", "photo"]
SAME = Counter({(0, 0, 0): 40, (1, 1, 1): 40, (0, 1, 1): 10, (1, 0, 0): 10})
BETTER = Counter({(0, 0, 0): 40, (1, 1, 1): 40, (0, 1, 0): 10, (1, 0, 1): 8, (1, 1, 0): 2})
WORSE = Counter({(0, 0, 0): 40, (1, 1, 1): 40, (0, 0, 1): 10, (1, 1, 0): 10})


def decide(
    rows: CellCounts, known: Optional[CellCounts] = None, **settings: Any
) -> tuple[str, str]:
    decision = decide_promotion(
        PairedCounts(rows, known or Counter()), LABELS, GateSettings(**settings)
    )
    return decision.action, decision.reason


def test_significantly_better_challenger_is_promoted() -> None:
    assert decide(BETTER) == (
        PROMOTE,
        "better by more than chance: accuracy 0.8200 to 0.9800 on 100 rows, p 0.0004",
    )


def test_equal_challenger_is_not_promoted() -> None:
    assert decide(SAME) == (
        KEEP,
        "not better by more than chance: accuracy 0.8000 to 0.8000 on 100 rows, p 1",
    )


def test_slightly_better_challenger_is_not_promoted() -> None:
    rows = Counter({(0, 0, 0): 50, (1, 1, 1): 45, (1, 0, 1): 5})
    assert decide(rows) == (
        KEEP,
        "not better by more than chance: accuracy 0.9500 to 1.0000 on 100 rows, p 0.062",
    )
    assert decide(rows, confidence=0.9)[0] == PROMOTE


def test_significantly_worse_challenger_is_refused() -> None:
    assert decide(WORSE) == (
        REFUSE,
        "worse by more than chance: accuracy 1.0000 to 0.8000 on 100 rows, p 1.9e-06",
    )


def test_challenger_that_is_better_on_new_rows_and_worse_on_known_ones_is_refused() -> None:
    # This is the result of a challenger that has learned wrong labels of many new images.
    rows = BETTER + BETTER + Counter({(0, 0, 1): 8})
    assert decide(rows, Counter({(0, 0, 0): 20, (0, 0, 1): 8})) == (
        REFUSE,
        "worse by more than chance on the rows that the champion's own test had: "
        "accuracy 1.0000 to 0.7143 on 28 rows, p 0.0078",
    )
    assert decide(rows, Counter({(0, 0, 0): 26, (0, 0, 1): 2}), max_class_drop=0.2)[0] == PROMOTE


def test_challenger_that_loses_too_much_recall_of_a_class_is_refused() -> None:
    rows = Counter({(0, 0, 0): 45, (0, 0, 1): 5, (1, 1, 1): 30, (1, 0, 1): 20})
    assert decide(rows) == (
        REFUSE,
        "the recall of class comic falls from 1.0000 to 0.9000, by more than 0.05 "
        "(retrain.gate.max_class_drop)",
    )
    assert decide(rows, max_class_drop=0.1)[0] == PROMOTE


def test_better_challenger_below_the_floor_is_refused() -> None:
    assert decide(BETTER, floor=0.99) == (
        REFUSE,
        "accuracy 0.9800 is below 0.99 (retrain.gate.floor)",
    )
    assert decide(BETTER, floor=0.98)[0] == PROMOTE


def test_decision_by_f1() -> None:
    action, reason = decide(BETTER, measure="f1")
    assert action == PROMOTE
    assert reason.startswith("better by more than chance: f1 0.8235 to 0.9796 on 100 rows, ")
    assert decide(BETTER, measure="f1", floor=0.99) == (
        REFUSE,
        "f1 0.9796 is below 0.99 (retrain.gate.floor)",
    )


@pytest.mark.parametrize(
    ("accuracy", "expected"),
    [
        (0.6, (PROMOTE, "the first model")),
        (0.59, (REFUSE, "accuracy 0.5900 is below 0.6 (retrain.gate.floor)")),
    ],
)
def test_first_model_is_promoted_if_it_reaches_the_floor(
    accuracy: float, expected: tuple[str, str]
) -> None:
    decision = decide_without_comparison(accuracy, GateSettings(floor=0.6), "the first model")
    assert (decision.action, decision.reason, decision.rows) == (*expected, None)


def test_a_better_challenger_with_a_bad_slice_is_refused() -> None:
    # Of camera v0, 10 of 100 rows are correct.
    slices = SlicePair(champion=some_slices(LABELS), challenger=some_slices(LABELS))
    reason = "accuracy 0.1000 on the 100 rows of camera v0 is below 0.2 (retrain.gate.slice_floor)"
    settings = GateSettings(slice_floor=0.2)
    decision = decide_promotion(PairedCounts(BETTER, Counter()), LABELS, settings, slices)
    assert (decision.action, decision.reason) == (REFUSE, reason)
    first = decide_without_comparison(0.9, settings, "the first model", slices.challenger)
    assert (first.action, first.reason) == (REFUSE, reason)
    assert decide_without_comparison(0.9, settings, "the first model").action == PROMOTE


def test_a_better_challenger_that_loses_a_slice_is_refused() -> None:
    now = some_slices(LABELS)
    (column,) = now.columns
    before = [each.model_copy(update={"accuracy": each.accuracy + 0.05}) for each in column.slices]
    champion = now.model_copy(update={"columns": [column.model_copy(update={"slices": before})]})
    counts, slices = PairedCounts(BETTER, Counter()), SlicePair(champion, now)
    settings = GateSettings(max_slice_drop=0.04)
    decision = decide_promotion(counts, LABELS, settings, slices)
    assert (decision.action, decision.reason) == (
        REFUSE,
        "accuracy on the 100 rows of camera v0 falls from 0.1500 to 0.1000, by more than 0.04 "
        "(retrain.gate.max_slice_drop)",
    )
    assert decide_promotion(counts, LABELS, GateSettings(), slices).action == PROMOTE
