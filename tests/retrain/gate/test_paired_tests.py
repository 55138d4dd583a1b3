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
def test_accuracy_is_compared_by_discordant_rows(won: int, lost: int, expected: str) -> None:
    cells = Counter({(0, 0, 0): 500, (1, 1, 1): 300, (0, 1, 0): won, (1, 1, 0): lost})
    comparison = paired_tests.compare_predictions(cells, 2, GateSettings())
    rows = 800 + won + lost
    assert (comparison.verdict, comparison.rows) == (expected, rows)
    assert comparison.before == pytest.approx((800 + lost) / rows)
    assert comparison.now == pytest.approx((800 + won) / rows)
    assert comparison.low <= comparison.now - comparison.before <= comparison.high


def test_paired_test_is_significant_where_an_unpaired_test_is_not() -> None:
    # 90.0 and 91.2 percent of 1,000 rows: an unpaired test gives p 0.35. But all 12 discordant
    # rows favour the same model.
    cells = Counter({(0, 0, 0): 900, (0, 1, 0): 12, (0, 1, 1): 88})
    comparison = paired_tests.compare_predictions(cells, 2, GateSettings())
    assert comparison.verdict == BETTER
    assert comparison.p_value == pytest.approx(2 * 0.5**12)


def rows(cells: CellCounts) -> tuple[list[int], list[int], list[int]]:
    repeated = [cell for cell, count in cells.items() for _ in range(count)]
    return tuple(list(column) for column in zip(*repeated))  # type: ignore[return-value]


@settings(max_examples=30)
@given(CELLS)
def test_measures_are_those_of_scikit_learn(cells: CellCounts) -> None:
    labels, champion, challenger = rows(cells)
    comparison = paired_tests.compare_predictions(cells, 3, GateSettings(measure="f1"))
    for value, predictions in ((comparison.before, champion), (comparison.now, challenger)):
        assert value == pytest.approx(f1_score(labels, predictions, average="macro"))
    accuracy = paired_tests.compare_predictions(cells, 3, GateSettings())
    assert accuracy.now == pytest.approx(np.mean(np.array(labels) == np.array(challenger)))


@settings(max_examples=30)
@given(CELLS)
def test_comparison_is_symmetric(cells: CellCounts) -> None:
    swapped = Counter({(label, b, a): count for (label, a, b), count in cells.items()})
    opposite = {BETTER: WORSE, WORSE: BETTER, EQUAL: EQUAL}
    forward, backward = (
        paired_tests.compare_predictions(cells, 3, GateSettings()),
        paired_tests.compare_predictions(swapped, 3, GateSettings()),
    )
    assert backward.verdict == opposite[forward.verdict]
    assert backward.p_value == forward.p_value


def test_f1_of_two_classes_is_that_of_the_second_class() -> None:
    cells = Counter({(0, 0, 0): 60, (1, 0, 1): 30, (1, 1, 1): 10, (0, 0, 1): 5})
    comparison = paired_tests.compare_predictions(cells, 2, GateSettings(measure="f1"))
    assert comparison.before == pytest.approx(2 * 10 / (10 + 40))
    assert comparison.now == pytest.approx(2 * 40 / (45 + 40))
    assert (comparison.verdict, comparison.p_value) == (BETTER, None)
    assert 0 < comparison.low < comparison.now - comparison.before < comparison.high


def test_bootstrap_has_the_stated_rate_of_false_positives() -> None:
    rng = np.random.default_rng(4)
    shares = [0.4, 0.4, 0.05, 0.05, 0.05, 0.05]
    keys = [(0, 0, 0), (1, 1, 1), (0, 0, 1), (0, 1, 0), (1, 0, 1), (1, 1, 0)]
    num_false_positives = 0
    for _ in range(100):
        counts = rng.multinomial(400, shares)
        cells = Counter({key: int(count) for key, count in zip(keys, counts) if count})
        comparison = paired_tests.compare_predictions(cells, 2, GateSettings(measure="f1"))
        num_false_positives += comparison.verdict != EQUAL
    assert num_false_positives <= 12


def test_recall_by_class() -> None:
    cells = Counter({(0, 0, 1): 3, (0, 1, 0): 1, (2, 2, 2): 5})
    assert paired_tests.recall_by_class(cells, 1) == {0: 0.75, 2: 1.0}
    assert paired_tests.recall_by_class(cells, 2) == {0: 0.25, 2: 1.0}
