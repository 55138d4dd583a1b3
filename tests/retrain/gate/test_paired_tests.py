from __future__ import annotations

from collections import Counter

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.metrics import f1_score

from halftone.config import GateSettings
from halftone.retrain.gate import paired_tests
from halftone.retrain.gate.paired_counts import CellCounts
from halftone.retrain.gate.paired_tests import BETTER, EQUAL, WORSE

CELL = st.tuples(st.integers(0, 2), st.integers(0, 2), st.integers(0, 2))
CELLS = st.dictionaries(CELL, st.integers(1, 50), min_size=1).map(Counter)


@pytest.mark.parametrize(
    ("won", "lost"), [(0, 0), (5, 5), (6, 0), (0, 6), (12, 3), (130, 100), (9000, 8600)]
)
def test_mcnemar_is_exact(won: int, lost: int) -> None:
    total, tail, ways = won + lost, 0, 1
    for k in range(min(won, lost) + 1):
        tail += ways
        ways = ways * (total - k) // (k + 1)
    assert paired_tests.mcnemar_p_value(won, lost) == pytest.approx(
        min(1.0, 2 * tail / 2**total), rel=1e-9
    )


@pytest.mark.parametrize(
    ("won", "lost", "expected"),
    [(20, 5, BETTER), (5, 20, WORSE), (14, 9, EQUAL), (5, 0, EQUAL), (6, 0, BETTER)],
)
def test_accuracy_is_judged_by_the_rows_that_only_one_has_right(
    won: int, lost: int, expected: str
) -> None:
    cells = Counter({(0, 0, 0): 500, (1, 1, 1): 300, (0, 1, 0): won, (1, 1, 0): lost})
    found = paired_tests.compare_predictions(cells, 2, GateSettings())
    rows = 800 + won + lost
    assert (found.verdict, found.rows) == (expected, rows)
    assert found.before == pytest.approx((800 + lost) / rows)
    assert found.now == pytest.approx((800 + won) / rows)
    assert found.low <= found.now - found.before <= found.high


def test_pairing_finds_what_two_intervals_apart_would_not() -> None:
    # 90.0 and 91.2 percent of 1,000 rows: apart, within chance (p 0.35); but all 12 rows that
    # differ speak for one of them.
    cells = Counter({(0, 0, 0): 900, (0, 1, 0): 12, (0, 1, 1): 88})
    found = paired_tests.compare_predictions(cells, 2, GateSettings())
    assert found.verdict == BETTER
    assert found.p_value == pytest.approx(2 * 0.5**12)


def rows(cells: CellCounts) -> tuple[list[int], list[int], list[int]]:
    every = [cell for cell, count in cells.items() for _ in range(count)]
    return tuple(list(column) for column in zip(*every))  # type: ignore[return-value]


@settings(deadline=None, max_examples=30)
@given(CELLS)
def test_measures_are_those_of_scikit_learn(cells: CellCounts) -> None:
    labels, one, other = rows(cells)
    found = paired_tests.compare_predictions(cells, 3, GateSettings(measure="f1"))
    for value, predictions in ((found.before, one), (found.now, other)):
        assert value == pytest.approx(f1_score(labels, predictions, average="macro"))
    accuracy = paired_tests.compare_predictions(cells, 3, GateSettings())
    assert accuracy.now == pytest.approx(np.mean(np.array(labels) == np.array(other)))


@settings(deadline=None, max_examples=30)
@given(CELLS)
def test_the_two_sides_are_judged_alike(cells: CellCounts) -> None:
    other = Counter({(label, b, a): count for (label, a, b), count in cells.items()})
    mirrored = {BETTER: WORSE, WORSE: BETTER, EQUAL: EQUAL}
    one, back = (
        paired_tests.compare_predictions(cells, 3, GateSettings()),
        paired_tests.compare_predictions(other, 3, GateSettings()),
    )
    assert back.verdict == mirrored[one.verdict]
    assert back.p_value == one.p_value


def test_f1_of_two_classes_is_that_of_the_second() -> None:
    cells = Counter({(0, 0, 0): 60, (1, 0, 1): 30, (1, 1, 1): 10, (0, 0, 1): 5})
    found = paired_tests.compare_predictions(cells, 2, GateSettings(measure="f1"))
    assert found.before == pytest.approx(2 * 10 / (10 + 40))
    assert found.now == pytest.approx(2 * 40 / (45 + 40))
    assert (found.verdict, found.p_value) == (BETTER, None)
    assert 0 < found.low < found.now - found.before < found.high


def test_the_bootstrap_rejects_by_chance_as_often_as_it_says() -> None:
    rng = np.random.default_rng(4)
    shares = [0.4, 0.4, 0.05, 0.05, 0.05, 0.05]
    kinds = [(0, 0, 0), (1, 1, 1), (0, 0, 1), (0, 1, 0), (1, 0, 1), (1, 1, 0)]
    wrong = 0
    for _ in range(100):
        counts = rng.multinomial(400, shares)
        cells = Counter({kind: int(count) for kind, count in zip(kinds, counts) if count})
        wrong += (
            paired_tests.compare_predictions(cells, 2, GateSettings(measure="f1")).verdict != EQUAL
        )
    assert wrong <= 12


def test_recalls() -> None:
    cells = Counter({(0, 0, 1): 3, (0, 1, 0): 1, (2, 2, 2): 5})
    assert paired_tests.recall_by_class(cells, 1) == {0: 0.75, 2: 1.0}
    assert paired_tests.recall_by_class(cells, 2) == {0: 0.25, 2: 1.0}
