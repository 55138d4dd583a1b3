"""Real training jobs with losses, classes, optimizers and averages of the user's choice."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import tensorflow as tf

from halftone import model_directory
from halftone.training import checkpoint
from halftone.training.checkpoint import Checkpoint
from training_jobs import MODEL, history
from trainings_in_turn import Turn, train_in_turn

EPOCHS = 6
ONE_CYCLE = {
    "optimizer": "sgd",
    "momentum": 0.9,
    "nesterov": True,
    "learning_rate": 0.05,
    "decay": "one_cycle",
    "weight_decay": 0.001,
    "label_smoothing": 0.1,
    "augment": {"flip": "alternating", "mixup_alpha": 0.4, "cutmix_alpha": 1.0},
    "class_weights": "balanced",
    "average_weights": 0.9,
    "best_by": "val_auc",
}
PLATEAU = {
    "optimizer": "adamw",
    "weight_decay": 0.001,
    "decay": "plateau",
    "decay_patience": 1,
    "decay_factor": 0.5,
    "loss": "focal",
    "input_px": [12, 14],
    "augment": {"random_resized_crop_min_area": 0.5, "cutout_px": 4, "erase_probability": 0.5},
    "sampling": "balanced",
    "average_weights": 0.9,
    "best_by": "val_f1",
}


def last_checkpoint(model: Path) -> Checkpoint:
    return checkpoint.read_checkpoint(str(model / "checkpoints"), EPOCHS)


@pytest.mark.slow
@pytest.mark.parametrize("settings", [ONE_CYCLE, PLATEAU], ids=["one_cycle", "plateau"])
def test_stopped_training_resumes_to_the_bit(
    tmp_path: Path, prepared_dataset: Path, settings: dict[str, Any]
) -> None:
    undisturbed, resumed = tmp_path / "undisturbed", tmp_path / "resumed"
    settings = {"epochs": EPOCHS, "batch_size": 4, **settings}
    output, stopped, resumption = train_in_turn(
        tmp_path,
        prepared_dataset,
        Turn("undisturbed", settings),
        Turn("stopped", settings, stop_at_check=45),  # in epoch 3
        Turn("resumed", settings, start_at="stopped"),
    )
    assert "StoppedError: the checkpoint of epoch 3" in stopped
    assert "resuming after epoch " in resumption

    actual, expected = last_checkpoint(resumed), last_checkpoint(undisturbed)
    assert len(expected.averages) == len(expected.weights) > 0
    for name in ("weights", "optimizer", "averages"):
        for left, right in zip(getattr(actual, name), getattr(expected, name)):
            np.testing.assert_array_equal(left, right)
    assert len(history(resumed)) == EPOCHS
    for left, right in zip(history(resumed), history(undisturbed)):
        assert left == pytest.approx(right, rel=1e-12)

    # The model is that of the best epoch, with the averages as its weights.
    epochs = history(undisturbed)
    best_by = str(settings["best_by"])
    info = model_directory.read_model_info(str(undisturbed))
    best = epochs[info.best_epoch - 1]
    assert best[best_by] == max(entry[best_by] for entry in epochs)
    network = tf.keras.models.load_model(undisturbed / info.network)
    assert network.input_shape == (None, 16, 16, 1)
    layers = {layer.name: layer.output_shape[1:3] for layer in network.layers}
    assert layers.get("resize", (16, 16)) == tuple(settings.get("input_px", (16, 16)))
    if info.best_epoch == EPOCHS:
        for left, right in zip(network.get_weights(), expected.averages):
            np.testing.assert_array_equal(left, right)
    rates = [entry["learning_rate"] for entry in epochs]
    if settings["decay"] == "one_cycle":
        assert rates.index(max(rates)) == 1  # 0.3 of 120 updates are in epoch 2
        assert "a row weighs in the loss by its class: " in output
    else:
        assert rates == sorted(rates, reverse=True)
        assert "an epoch draws 77 rows, 38 of each of 2 classes, in 20 steps" in output


@pytest.mark.slow
def test_chosen_metric_does_not_depend_on_the_ranks(tmp_path: Path, prepared_dataset: Path) -> None:
    """With weights that stay what they are; the averages of all ranks are validated."""
    train = {
        "epochs": 1,
        "batch_size": 12,
        "learning_rate": 1e-30,
        "model": {**MODEL, "batch_norm": False, "dense_dropout": 0.0},
        "sampling": "balanced",
        "class_weights": {"lying": 10.0},
        "average_weights": 0.9,
    }
    metrics = ("val_f1", "val_auc")
    values: dict[tuple[str, int], list[float]] = {}
    for ranks in (1, 2):
        turns = [Turn(f"{name}_{ranks}", {**train, "best_by": name}) for name in metrics]
        outputs = train_in_turn(tmp_path, prepared_dataset, *turns, ranks=ranks)
        for name, output in zip(metrics, outputs):
            assert "an epoch draws 77 rows, 38 of each of 2 classes, in " in output
            (entry,) = history(tmp_path / f"{name}_{ranks}")
            values[name, ranks] = [entry[name], entry["val_loss"], entry["val_accuracy"]]
    for name in metrics:
        assert values[name, 1][0] > 0
        assert values[name, 2] == pytest.approx(values[name, 1], abs=1e-6)
