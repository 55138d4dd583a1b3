"""Shorten a training to a few epochs, for a trial of an experiment."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from halftone.config import overlay_settings


def shorten_training(raw: Mapping[str, Any], epochs: int) -> dict[str, Any]:
    """Return the raw config of a training of `epochs` epochs.

    What happens after an epoch that the training no longer has is left out, and a warm-up ends
    before the last epoch: otherwise they would be errors.

    Args:
        raw: The nested settings of a run; their types are not checked yet.
        epochs: Number of epochs.
    """
    settings = raw.get("train")
    settings = settings if isinstance(settings, Mapping) else {}
    changes: dict[str, Any] = {"epochs": epochs}
    last_warmup_epoch = epochs - 1
    unfreeze_after = settings.get("unfreeze_after_epochs")
    if isinstance(unfreeze_after, int):
        if epochs == 1:
            changes.update(unfreeze_after_epochs=None, unfreeze_learning_rate=None)
        else:
            unfreeze_after = min(unfreeze_after, epochs - 1)
            changes["unfreeze_after_epochs"] = unfreeze_after
            last_warmup_epoch = unfreeze_after - 1
    warmup = settings.get("warmup_epochs")
    if isinstance(warmup, int) and warmup > last_warmup_epoch:
        changes["warmup_epochs"] = last_warmup_epoch
    decay_epochs = settings.get("decay_epochs")
    if isinstance(decay_epochs, (list, tuple)) and decay_epochs:
        kept = [
            epoch
            for epoch in decay_epochs
            if not isinstance(epoch, int)
            or (epoch < epochs and epoch != changes.get("unfreeze_after_epochs"))
        ]
        changes["decay_epochs"] = kept
        if not kept and settings.get("decay") == "steps":
            changes["decay"] = "none"
    return overlay_settings(raw, {f"train.{name}": value for name, value in changes.items()})
