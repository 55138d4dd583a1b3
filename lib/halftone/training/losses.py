"""The loss that a training minimises. Metrics are computed from the labels alone.

A loss gets labels (N, 1) int32 and probabilities, for two classes (N, 1) of the second one, else
(N, classes), and returns (N,) float32.
"""

from __future__ import annotations

from typing import Optional

import tensorflow as tf

from halftone.config import TrainSettings

_EPSILON = 1e-7  # as in Keras: the smallest probability


def build_loss(settings: TrainSettings, num_classes: int) -> tf.keras.losses.Loss:
    """Return the loss of a training; its mean is over all rows of a step, as Keras does."""
    is_smoothed = settings.label_smoothing > 0 and num_classes > 2
    if settings.loss == "focal" or is_smoothed or settings.augment.mixes_rows:
        gamma = settings.focal_gamma if settings.loss == "focal" else None
        return TargetLoss(num_classes, settings.label_smoothing, gamma)
    if num_classes == 2:
        return tf.keras.losses.BinaryCrossentropy(label_smoothing=settings.label_smoothing)
    return tf.keras.losses.SparseCategoricalCrossentropy()


class TargetLoss(tf.keras.losses.Loss):
    """Cross-entropy, or focal loss, with a target for each class.

    In place of labels it also takes targets: (N, classes) float32 that add up to 1, for rows that
    are mixed from several. They are smoothed as labels are.

    Args:
        label_smoothing: s: the target of a label is 1 - s, and all classes share s equally, from
            "Rethinking the Inception Architecture" (Szegedy et al., 2016, section 7).
        focal_gamma: the part of each class is multiplied by (1 - its probability) to this power,
            from "Focal Loss for Dense Object Detection" (Lin et al., 2017, section 3); None: not.
    """

    def __init__(
        self, num_classes: int, label_smoothing: float, focal_gamma: Optional[float] = None
    ) -> None:
        super().__init__(name="target_loss")
        self._num_classes, self._label_smoothing = num_classes, label_smoothing
        self._focal_gamma = focal_gamma

    def call(self, labels: tf.Tensor, probabilities: tf.Tensor) -> tf.Tensor:
        is_target = labels.dtype.is_floating
        targets = labels if is_target else tf.one_hot(labels[:, 0], self._num_classes)
        targets = (1 - self._label_smoothing) * targets + self._label_smoothing / self._num_classes
        if self._focal_gamma is None:
            return _cross_entropy(targets, probabilities)
        parts = targets * (1 - _all_classes(probabilities)) ** self._focal_gamma
        # Keras computes cross-entropy from logits, which is exact for a probability of almost 0,
        # but requires targets that add up to 1.
        total = tf.reduce_sum(parts, axis=1)
        return total * _cross_entropy(tf.math.divide_no_nan(parts, total[:, None]), probabilities)


def _cross_entropy(targets: tf.Tensor, probabilities: tf.Tensor) -> tf.Tensor:
    """Return the cross-entropy (N,) of targets (N, classes) that add up to 1."""
    if targets.shape[1] == 2:
        return tf.keras.losses.binary_crossentropy(targets[:, 1:], probabilities)
    return tf.keras.losses.categorical_crossentropy(targets, probabilities)


def _all_classes(probabilities: tf.Tensor) -> tf.Tensor:
    """Return the probabilities of all classes, (N, classes), not quite 0 or 1."""
    if probabilities.shape[1] == 1:
        probabilities = tf.concat([1 - probabilities, probabilities], axis=1)
    return tf.clip_by_value(probabilities, _EPSILON, 1 - _EPSILON)
