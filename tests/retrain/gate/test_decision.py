from __future__ import annotations

from collections import Counter
from typing import Any, Optional

import pytest

from halftone.config import GateSettings
from halftone.retrain.gate.decision import (
    KEEP,
    PROMOTE,
    REFUSE,
    decide_promotion,
    decide_without_comparison,
)
from halftone.retrain.gate.paired_counts import CellCounts, PairedCounts

LABELS = ["comic", "photo"]
SAME = Counter({(0, 0, 0): 40, (1, 1, 1): 40, (0, 1, 1): 10, (1, 0, 0): 10})
BETTER = Counter({(0, 0, 0): 40, (1, 1, 1): 40, (0, 1, 0): 10, (1, 0, 1): 8, (1, 1, 0): 2})
WORSE = Counter({(0, 0, 0): 40, (1, 1, 1): 40, (0, 0, 1): 10, (1, 1, 0): 10})


def decided(
    rows: CellCounts, known: Optional[CellCounts] = None, **settings: Any
) -> tuple[str, str]:
    found = decide_promotion(
        PairedCounts(rows, known or Counter()), LABELS, GateSettings(**settings)
    )
    return found.action, found.reason


def test_better_by_more_than_chance_is_promoted() -> None:
    assert decided(BETTER) == (
        PROMOTE,
        "better by more than chance: accuracy 0.8200 to 0.9800 on 100 rows, p 0.0004",
    )


def test_the_same_is_kept() -> None:
    assert decided(SAME) == (
        KEEP,
        "not better by more than chance: accuracy 0.8000 to 0.8000 on 100 rows, p 1",
    )


def test_a_little_better_is_kept() -> None:
    rows = Counter({(0, 0, 0): 50, (1, 1, 1): 45, (1, 0, 1): 5})
    assert decided(rows) == (
        KEEP,
        "not better by more than chance: accuracy 0.9500 to 1.0000 on 100 rows, p 0.062",
    )
    assert decided(rows, confidence=0.9)[0] == PROMOTE


def test_worse_is_refused() -> None:
    assert decided(WORSE) == (
        REFUSE,
        "worse by more than chance: accuracy 1.0000 to 0.8000 on 100 rows, p 1.9e-06",
    )


def test_better_on_new_rows_and_worse_on_known_ones_is_refused() -> None:
    # What a challenger is like that has learned the wrong labels of many new images.
    rows = BETTER + BETTER + Counter({(0, 0, 1): 8})
    assert decided(rows, Counter({(0, 0, 0): 20, (0, 0, 1): 8})) == (
        REFUSE,
        "worse by more than chance on the rows that the champion's own test had: "
        "accuracy 1.0000 to 0.7143 on 28 rows, p 0.0078",
    )
    assert decided(rows, Counter({(0, 0, 0): 26, (0, 0, 1): 2}), max_class_drop=0.2)[0] == PROMOTE


def test_a_class_that_falls_too_far_is_refused() -> None:
    rows = Counter({(0, 0, 0): 45, (0, 0, 1): 5, (1, 1, 1): 30, (1, 0, 1): 20})
    assert decided(rows) == (
        REFUSE,
        "the recall of class comic falls from 1.0000 to 0.9000, by more than 0.05, which is "
        "retrain.gate.max_class_drop",
    )
    assert decided(rows, max_class_drop=0.1)[0] == PROMOTE


def test_below_the_floor_is_refused_however_much_better() -> None:
    assert decided(BETTER, floor=0.99) == (
        REFUSE,
        "accuracy 0.9800 is below 0.99, which is retrain.gate.floor",
    )
    assert decided(BETTER, floor=0.98)[0] == PROMOTE


def test_by_f1() -> None:
    action, reason = decided(BETTER, measure="f1")
    assert action == PROMOTE
    assert reason.startswith("better by more than chance: f1 0.8235 to 0.9796 on 100 rows, ")
    assert decided(BETTER, measure="f1", floor=0.99) == (
        REFUSE,
        "f1 0.9796 is below 0.99, which is retrain.gate.floor",
    )


@pytest.mark.parametrize(
    ("accuracy", "expected"),
    [
        (0.6, (PROMOTE, "the first model")),
        (0.59, (REFUSE, "accuracy 0.5900 is below 0.6, which is retrain.gate.floor")),
    ],
)
def test_the_first_model_needs_the_floor_alone(accuracy: float, expected: tuple[str, str]) -> None:
    found = decide_without_comparison(
        {"accuracy": accuracy}, GateSettings(floor=0.6), "the first model"
    )
    assert (found.action, found.reason, found.rows) == (*expected, None)
