from __future__ import annotations

from types import SimpleNamespace

import tensorflow as tf

from halftone.training import epoch_metrics


def test_mean_that_is_not_finite_is_none() -> None:
    metrics = [tf.keras.metrics.Mean(name) for name in ("loss", "cross_entropy", "accuracy")]
    model = SimpleNamespace(metrics=metrics)
    sums = [[float("nan"), 4.0], [3.0, 4.0]]
    assert epoch_metrics.mean_metrics(model, sums) == {"loss": None, "accuracy": 0.75}


def test_line_of_an_epoch() -> None:
    entry = {
        "epoch": 2, "loss": 0.5, "accuracy": 0.75, "val_loss": None, "val_accuracy": 0.5,
        "secs": 3.2, "images_per_sec": 1234.5,
    }  # fmt: skip
    assert epoch_metrics.format_epoch(entry, 4, remaining_secs=65.0) == (
        "epoch 2/4: loss 0.5000, accuracy 0.7500, val_loss not finite, val_accuracy 0.5000, "
        "1,234 images/s, 0:03, 1:05 left"
    )
