from __future__ import annotations

import numpy as np
import pytest

from halftone.config import TrainSettings
from halftone.training import divergence


@pytest.mark.parametrize("bad", [np.nan, np.inf, -np.inf])
def test_one_bad_weight_is_noticed(bad: float) -> None:
    weights = [np.zeros((2, 3), np.float32), np.array(7, np.int64), np.ones(4, np.float32)]
    assert divergence.are_finite(weights)
    weights[2][3] = bad
    assert not divergence.are_finite(weights)


def test_error_of_a_training_that_diverged() -> None:
    error = divergence.diverged_error("epoch 3, step 7: the training loss is", 2, TrainSettings())
    assert str(error) == (
        "epoch 3, step 7: the training loss is not finite; epoch 2 has a checkpoint. Lower "
        "train.learning_rate (it is 0.001), or set train.clip_norm"
    )


def test_error_without_any_finite_epoch_names_the_precision() -> None:
    history = [{"epoch": number, "loss": 0.5, "val_loss": None} for number in (1, 2, 3)]
    settings = TrainSettings(precision="mixed_float16")
    assert str(divergence.no_model_error(history, settings)) == (
        "the validation loss is not finite in any of epochs 1 to 3, so there is no model to "
        "publish. Use another --output with train.precision mixed_bfloat16 or float32 "
        "(mixed_float16 overflows above 65,504), a lower train.learning_rate (it is 0.001), or "
        "train.clip_norm"
    )
    assert str(divergence.no_model_error([{"epoch": 1, "loss": None}], TrainSettings())) == (
        "the training loss is not finite in epoch 1, so there is no model to publish. Use another "
        "--output with a lower train.learning_rate (it is 0.001), or train.clip_norm"
    )
