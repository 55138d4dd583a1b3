"""Which epoch of a training is the best."""

from __future__ import annotations

from typing import Optional

import pytest

from halftone.metrics import epochs

NAN, INFINITY = float("nan"), float("inf")


@pytest.mark.parametrize(
    ("val_losses", "best"),
    [
        ([0.5, 0.25, 0.25], 2),
        ([None, 0.5, 0.25], 3),
        ([None, 9.0, None], 2),
        ([None, None], None),
        # As older versions wrote them.
        ([NAN, 0.5, 0.25], 3),
        ([INFINITY, NAN], None),
    ],
)
def test_loss_that_is_not_finite_is_never_the_best(
    val_losses: list[Optional[float]], best: Optional[int]
) -> None:
    history = [
        {"epoch": number, "loss": 1 / number, "val_loss": loss}
        for number, loss in enumerate(val_losses, 1)
    ]
    assert epochs.best_epoch(history) == best


def test_best_epoch_without_validation_has_the_lowest_training_loss() -> None:
    history = [{"epoch": 1, "loss": 0.5}, {"epoch": 2, "loss": 0.25}, {"epoch": 3, "loss": 0.3}]
    assert epochs.best_epoch(history) == 2


HISTORY_OF_METRICS = [
    {"epoch": 1, "loss": 0.9, "val_loss": 0.5, "val_accuracy": 0.7, "val_f1": 0.2},
    {"epoch": 2, "loss": 0.8, "val_loss": 0.6, "val_accuracy": 0.8, "val_f1": None},
    {"epoch": 3, "loss": 0.7, "val_loss": 0.5, "val_accuracy": 0.8, "val_f1": 0.4},
    {"epoch": 4, "loss": 0.6, "val_loss": None, "val_accuracy": 0.9, "val_f1": 0.6},
    {"epoch": 5, "loss": 0.5, "val_loss": 0.7, "val_accuracy": 0.8, "val_f1": 0.5},
]


@pytest.mark.parametrize(("best_by", "best"), [("val_loss", 1), ("val_accuracy", 3), ("val_f1", 5)])
def test_best_epoch_by_a_metric(best_by: str, best: int) -> None:
    """Of an equal accuracy, the lower loss wins; a loss that is not finite never does."""
    assert epochs.best_epoch(HISTORY_OF_METRICS, best_by) == best


def test_best_epoch_by_a_metric_that_no_epoch_has() -> None:
    assert epochs.best_epoch(HISTORY_OF_METRICS, "val_auc") is None
