"""The metrics of an epoch over all ranks."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from typing import Any, Optional

import tensorflow as tf

from halftone.progress import format_duration
from halftone.training import collectives
from halftone.training.checkpoint import PartialEpoch

# Total and count of each metric.
MetricSums = list[list[float]]

_NAMES_IN_HISTORY = {"cross_entropy": "loss"}
_PRINTED_NAMES = ("loss", "accuracy", "val_loss", "val_accuracy", "val_f1", "val_auc")


def reduce_sums(model: tf.keras.Model, partial_epoch: Optional[PartialEpoch] = None) -> MetricSums:
    """Return total and count of each metric over all ranks, and over `partial_epoch`."""
    rank_sums = tf.constant(
        [[metric.total.numpy(), metric.count.numpy()] for metric in _metrics(model)], tf.float64
    )
    # Horovod: sums, because ranks have unequal numbers of rows.
    sums = collectives.all_reduce(rank_sums, collectives.SUM)
    if partial_epoch:
        sums += partial_epoch.sums
    return [[float(total), float(count)] for total, count in sums.numpy()]


def mean_metrics(model: tf.keras.Model, sums: MetricSums) -> dict[str, Optional[float]]:
    """Return the mean of each metric by its name in the history; None if it is not finite."""
    means = [total / count for total, count in sums]
    return {
        _NAMES_IN_HISTORY.get(metric.name, metric.name): mean if math.isfinite(mean) else None
        for metric, mean in zip(_metrics(model), means)
    }


def format_epoch(entry: Mapping[str, Any], num_epochs: int, remaining_secs: float) -> str:
    """Format an entry of the history as the line that is printed after each epoch."""
    values = ", ".join(
        f"{name} {'not finite' if entry[name] is None else format(entry[name], '.4f')}"
        for name in _PRINTED_NAMES
        if name in entry
    )
    remaining = f", {format_duration(remaining_secs)} left" if entry["epoch"] < num_epochs else ""
    return (
        f"epoch {entry['epoch']}/{num_epochs}: {values}, {entry['images_per_sec']:,.0f} images/s, "
        f"{format_duration(entry['secs'])}{remaining}"
    )


def _metrics(model: tf.keras.Model) -> Iterator[tf.keras.metrics.Mean]:
    # `loss` is Keras' mean over steps, which have unequal numbers of rows.
    return (metric for metric in model.metrics if metric.name != "loss")
