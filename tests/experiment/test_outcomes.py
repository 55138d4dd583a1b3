from __future__ import annotations

from typing import Any, Optional

import pytest

from halftone.config import Config
from halftone.experiment import outcomes
from halftone.experiment.outcomes import RunOutcome
from halftone.experiment.planning import Trial
from halftone.experiment.spec import SelectionCriterion


def make_result(
    loss: Optional[float], train_loss: float = 0.5, secs: float = 9.0, **changes: Any
) -> dict[str, Any]:
    return {
        "state": "finished",
        "parameters": 12,
        "epochs": 3,
        "best_epoch": 2,
        "train": {"loss": train_loss, "accuracy": 0.5},
        "validation": {"loss": loss, "accuracy": None if loss is None else 1 - loss},
        "test": {"loss": 0.25, "accuracy": 0.75, "f1": 0.5, "mistakes": 2},
        "train_secs": secs,
        "images_per_sec": 100.0,
        "secs": 2 * secs,
        **changes,
    }


def make_outcome(name: str, result: Optional[dict[str, Any]], error: str = "") -> RunOutcome:
    return RunOutcome(Trial(name, Config()), result, error, "log")


def best_name(*run_outcomes: RunOutcome, **choose: Any) -> Optional[str]:
    best = outcomes.best_outcome(run_outcomes, SelectionCriterion(**choose))
    return best.trial.name if best else None


def test_the_best_run_has_the_best_metric_and_ties_go_to_the_fastest() -> None:
    slow = make_outcome("slow", make_result(0.125))
    fast = make_outcome("fast", make_result(0.125, secs=8.0))
    worse = make_outcome("worse", make_result(0.25, train_loss=0.1, secs=1.0))
    failed = make_outcome("failed", None, "was killed by signal 9")
    pruned = make_outcome("pruned", make_result(0.01, state="pruned"))
    assert best_name(worse, failed, slow, fast, pruned) == "fast"
    assert best_name(worse, slow, fast, metric="accuracy") == "fast"
    assert best_name(worse, slow, split="train") == "worse"
    assert best_name(failed, pruned) is None
    assert best_name() is None


def test_without_a_validation_split_the_train_split_selects_the_best_run() -> None:
    worse = make_outcome("worse", make_result(None, 0.5))
    better = make_outcome("better", make_result(None, 0.25))
    assert best_name(worse, better) == "better"
    # A run with the validation metric is preferred to all runs without it.
    assert best_name(worse, better, make_outcome("held-out", make_result(0.9, 0.9))) == "held-out"


def test_a_metric_that_is_not_finite_is_missing() -> None:
    nan = make_outcome("nan", make_result(float("nan")))
    assert best_name(nan, make_outcome("finite", make_result(9.0))) == "finite"
    assert best_name(nan, metric="accuracy") == "nan"  # by the train split


def test_folds_are_combined_to_means_and_standard_deviations() -> None:
    first = make_result(0.25, secs=8.0)
    second = {
        **make_result(0.75, secs=10.0),
        "test": {"loss": 0.75, "accuracy": 0.75, "f1": None},
    }
    half = pytest.approx(0.5**0.5 / 2)
    assert outcomes.combine_folds([first, second]) == {
        "state": "finished",
        "parameters": 12,
        "epochs": 3.0,
        "best_epoch": 2.0,
        "train": {"loss": 0.5, "accuracy": 0.5},
        "validation": {"loss": 0.5, "accuracy": 0.5},
        "test": {"loss": 0.5, "accuracy": 0.75, "f1": None, "mistakes": None},
        "train_secs": 9.0,
        "images_per_sec": 100.0,
        "secs": 18.0,
        "std": {
            "epochs": 0.0,
            "best_epoch": 0.0,
            "train": {"loss": 0.0, "accuracy": 0.0},
            "validation": {"loss": half, "accuracy": half},
            "test": {"loss": half, "accuracy": 0.0, "f1": None, "mistakes": None},
            "train_secs": pytest.approx(2**0.5),
            "images_per_sec": 0.0,
            "secs": pytest.approx(8**0.5),
        },
        "folds": [first, second],
    }
