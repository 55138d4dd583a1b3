from __future__ import annotations

from typing import Any, Optional

import pytest

from halftone.config import Config
from halftone.experiment import outcomes
from halftone.experiment.outcomes import RunOutcome
from halftone.experiment.planning import Trial
from halftone.experiment.spec import SelectionCriterion


def result(
    loss: Optional[float], train_loss: float = 0.5, secs: float = 9.0, **more: Any
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
        **more,
    }


def outcome(name: str, made: Optional[dict[str, Any]], error: str = "") -> RunOutcome:
    return RunOutcome(Trial(name, Config()), made, error, "log")


def best(*found: RunOutcome, **choose: Any) -> Optional[str]:
    one = outcomes.best_outcome(found, SelectionCriterion(**choose))
    return one.trial.name if one else None


def test_the_best_has_the_best_figure_and_of_equals_the_least_time() -> None:
    slow, fast = outcome("slow", result(0.125)), outcome("fast", result(0.125, secs=8.0))
    worse = outcome("worse", result(0.25, train_loss=0.1, secs=1.0))
    gone = outcome("gone", None, "was killed by signal 9")
    pruned = outcome("pruned", result(0.01, state="pruned"))
    assert best(worse, gone, slow, fast, pruned) == "fast"
    assert best(worse, slow, fast, metric="accuracy") == "fast"
    assert best(worse, slow, split="train") == "worse"
    assert best(gone, pruned) is None
    assert best() is None


def test_without_validation_the_training_decides() -> None:
    one, other = outcome("one", result(None, 0.5)), outcome("other", result(None, 0.25))
    assert best(one, other) == "other"
    # A run that has the figure is better than any that has not.
    assert best(one, other, outcome("held-out", result(0.9, 0.9))) == "held-out"


def test_folds_are_one_result_of_means_and_deviations() -> None:
    one = result(0.25, secs=8.0)
    other = {**result(0.75, secs=10.0), "test": {"loss": 0.75, "accuracy": 0.75, "f1": None}}
    made = outcomes.combine_folds([one, other])
    half = pytest.approx(0.5**0.5 / 2)
    assert made == {
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
        "folds": [one, other],
    }
