"""Classes of unequal size: the weight of their rows in the loss, and whether they can be drawn.

This module works without TensorFlow: settings are checked before any rank starts.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Optional

from halftone.config import TrainSettings
from halftone.dataset.manifest import Manifest
from halftone.dataset.splits import TRAIN
from halftone.errors import InputError

_MAX_NAMED_LABELS = 10


def class_weights(settings: TrainSettings, manifest: Manifest) -> Optional[list[float]]:
    """Return the weight in the loss of the rows of each class, by label id; None if all are 1.

    They depend on the whole train split, not on the rows of a rank. Balanced weights are those of
    scikit-learn's `compute_class_weight`: their mean over all rows is 1, so the learning rate keeps
    its meaning.

    Raises:
        InputError: a label is not one of the dataset, or a class has no row to balance.
    """
    labels, setting = manifest.labels, settings.class_weights
    if setting == "none":
        return None
    if isinstance(setting, dict):
        unknown = [label for label in setting if label not in labels]
        if unknown:
            raise InputError(
                f"train.class_weights names {_join(unknown)}; the dataset has {_join(labels)}. "
                "Leave them out, or correct their names"
            )
        return [setting.get(label, 1.0) for label in labels]
    counts = _train_counts(manifest, "class_weights balanced", "class_weights none")
    return [sum(counts) / (len(counts) * count) for count in counts]


def check_sampling(settings: TrainSettings, manifest: Manifest) -> None:
    """Raise InputError if classes are to be drawn equally often, and one has no row."""
    if settings.sampling == "balanced":
        _train_counts(manifest, "sampling balanced", "sampling natural")


def _train_counts(manifest: Manifest, setting: str, other_setting: str) -> list[int]:
    """Return the rows of each class in the train split, by label id.

    Args:
        setting: that needs a row of each class, without the prefix `train.`.
        other_setting: that does not.

    Raises:
        InputError: a class has no row.
    """
    by_label = manifest.counts.get(TRAIN, {})
    empty = [label for label in manifest.labels if not by_label.get(label)]
    if empty:
        num_empty, num_labels = len(empty), len(manifest.labels)
        raise InputError(
            f"train.{setting} needs rows of each class, and the train split has none of "
            f"{_join(empty)} ({num_empty} of {num_labels} classes); preprocess more images of "
            f"them, or use train.{other_setting}"
        )
    return [by_label[label] for label in manifest.labels]


def balance_notes(settings: TrainSettings, manifest: Manifest) -> list[str]:
    """Return what the user should know of the weights, a line each."""
    weights = class_weights(settings, manifest)
    if weights is None:
        return []
    named = sorted(zip(weights, manifest.labels), reverse=True)
    texts = [f"{label} {weight:.4g}" for weight, label in named]
    if len(texts) > _MAX_NAMED_LABELS:
        texts = [*texts[:5], "...", *texts[-5:]]
    return [
        f"a row weighs in the loss by its class: {', '.join(texts)} (train.class_weights); all "
        "losses and metrics that are reported are unweighted"
    ]


def _join(labels: Sequence[str]) -> str:
    shown = ", ".join(labels[:_MAX_NAMED_LABELS])
    return f"{shown}, ..." if len(labels) > _MAX_NAMED_LABELS else shown
