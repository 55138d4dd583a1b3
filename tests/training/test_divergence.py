from __future__ import annotations

import json
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest

from halftone import cli
from halftone.config import TrainSettings
from halftone.training import divergence, fit
from halftone.training.checkpoint_writer import CheckpointWriter


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


def test_without_a_finite_validation_loss_nothing_is_published(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    history = [{"epoch": number, "loss": 0.5, "val_loss": None} for number in (1, 2)]
    training = SimpleNamespace(
        _writer=CheckpointWriter(str(tmp_path), num_kept=2),
        _history=history,
        _settings=TrainSettings(),
    )
    publish = fit._RankTraining.publish_best  # a whole training would take half a minute
    assert cli.run_with_exit_code(lambda: publish(training, train_secs=1.0)) == 1
    assert capsys.readouterr().err == (
        "failed: the validation loss is not finite in any of epochs 1 to 2, so there is no model "
        "to publish. Use another --output with a lower train.learning_rate (it is 0.001), or "
        "train.clip_norm\n"
    )
    assert [path.name for path in tmp_path.iterdir()] == ["history.json"]
    written = json.loads((tmp_path / "history.json").read_text())
    assert written == {"best_epoch": None, "epochs": history}
