"""The loss that a training minimises. Metrics are computed from the labels alone.

A loss gets labels (N, 1) int32 and probabilities, for two classes (N, 1) of the second one, else
(N, classes), and returns (N,) float32.
"""

from __future__ import annotations

import tensorflow as tf

from halftone.config import TrainSettings


def build_loss(settings: TrainSettings, num_classes: int) -> tf.keras.losses.Loss:
    """Return the loss of a training; its mean is over all rows of a step, as Keras does."""
    if num_classes == 2:
        return tf.keras.losses.BinaryCrossentropy(label_smoothing=settings.label_smoothing)
    if not settings.label_smoothing:
        return tf.keras.losses.SparseCategoricalCrossentropy()
    return SmoothedCrossEntropy(num_classes, settings.label_smoothing)


class SmoothedCrossEntropy(tf.keras.losses.Loss):
    """Cross-entropy with a target of 1 - s for the label, and of s divided among all classes.

    From "Rethinking the Inception Architecture" (Szegedy et al., 2016, section 7).
    """

    def __init__(self, num_classes: int, label_smoothing: float) -> None:
        super().__init__(name="smoothed_cross_entropy")
        self._num_classes, self._label_smoothing = num_classes, label_smoothing

    def call(self, labels: tf.Tensor, probabilities: tf.Tensor) -> tf.Tensor:
        targets = tf.one_hot(labels[:, 0], self._num_classes)
        return tf.keras.losses.categorical_crossentropy(
            targets, probabilities, label_smoothing=self._label_smoothing
        )
