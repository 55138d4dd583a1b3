"""Detect a training that has diverged: its loss or its weights are NaN or infinite."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from halftone.config import TrainSettings
from halftone.errors import RunError
from halftone.training.checkpoint import History

_MAX_FLOAT16 = 65_504


def are_finite(weights: Sequence[npt.NDArray[Any]]) -> bool:
    """Whether the weights hold neither NaN nor infinity."""
    return all(bool(np.isfinite(array).all()) for array in weights)


def diverged_error(what: str, num_epochs: int, settings: TrainSettings) -> RunError:
    """Return the error that ends a training within an epoch.

    Args:
        what: where, and what is not finite, such as `epoch 3, step 7: the training loss is`.
        num_epochs: number of epochs that have a checkpoint.
    """
    state = f"epoch {num_epochs} has a checkpoint" if num_epochs else "no checkpoint yet"
    return RunError(
        f"{what} not finite; {state}. Lower train.learning_rate (it is "
        f"{settings.learning_rate:g}), or set train.clip_norm"
    )


def no_model_error(history: History, settings: TrainSettings) -> RunError:
    """Return the error for a training in which no epoch has a finite loss."""
    name = "validation loss" if "val_loss" in history[0] else "training loss"
    epochs = f"any of epochs 1 to {len(history)}" if len(history) > 1 else "epoch 1"
    precision = (
        f"train.precision mixed_bfloat16 or float32 (mixed_float16 overflows above "
        f"{_MAX_FLOAT16:,}), "
        if settings.precision == "mixed_float16"
        else ""
    )
    return RunError(
        f"the {name} is not finite in {epochs}, so there is no model to publish. Use another "
        f"--output with {precision}a lower train.learning_rate (it is "
        f"{settings.learning_rate:g}), or train.clip_norm"
    )
