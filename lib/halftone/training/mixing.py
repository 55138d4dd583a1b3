"""Mixed rows: each image of a batch is combined with another one, and so is its label.

Rows of weight 0, which only fill a batch, stay as they are and are mixed into no other.
"""

from __future__ import annotations

from typing import NamedTuple

import tensorflow as tf

from halftone import models
from halftone.config import AugmentSettings
from halftone.models.boxes import Boxes
from halftone.models.per_image import DTYPE


class Mix(NamedTuple):
    """How each row of a batch is mixed.

    Args:
        partners: (N,) int32, the number of the other row in the batch.
        shares: (N,) float32, 0..1, of the row itself; the rest is its partner's.
    """

    partners: tf.Tensor
    shares: tf.Tensor

    def targets(self, labels: tf.Tensor, num_classes: int) -> tf.Tensor:
        """Return the share of each class, (N, num_classes) float32, of labels (N, 1)."""
        own = tf.one_hot(labels[:, 0], num_classes)
        others = tf.gather(own, self.partners)
        return others + self.shares[:, None] * (own - others)

    def main_labels(self, labels: tf.Tensor) -> tf.Tensor:
        """Return the labels (N, 1) with the larger shares."""
        return tf.where(self.shares[:, None] >= 0.5, labels, tf.gather(labels, self.partners))


class RowMixer(tf.keras.__internal__.layers.BaseRandomLayer):
    """Mixes images with others of their batch; each row has its own partner and share.

    `mixup` adds images up, from "mixup: Beyond Empirical Risk Minimization" (Zhang et al., 2018,
    equations 1 and 2): the share is drawn from Beta(alpha, alpha). `cutmix` sets a box to that of
    the partner, from "CutMix" (Yun et al., 2019, algorithm 1, which draws one share and box for a
    batch): its area is 1 - a share from Beta(alpha, alpha), its centre is any point, and what is
    outside of the image counts for the row itself. Of two methods one is drawn for each batch.
    """

    def __init__(self, mixup_alpha: float, cutmix_alpha: float) -> None:
        """Set the parameters of the distributions; 0 is without the method, and one is above 0."""
        super().__init__(force_generator=True, dtype=DTYPE)
        self._mixup_alpha, self._cutmix_alpha = mixup_alpha, cutmix_alpha
        self.build(None)  # so that its generator can be reset before the first step

    def call(self, images: tf.Tensor, weights: tf.Tensor) -> tuple[tf.Tensor, Mix]:
        """Mix images (N, H, W, C) float32 of rows with weights (N,)."""
        partners = self._draw_partners(weights)
        # Of each pixel, the part that is not its partner's.
        if not self._cutmix_alpha:
            kept, shares = self._draw_mixup(images)
        elif not self._mixup_alpha:
            kept, shares = self._draw_cutmix(images)
        else:
            is_mixup = self._draw_fractions([]) < 0.5
            kept, shares = (
                tf.where(is_mixup, blended, cut)
                for blended, cut in zip(self._draw_mixup(images), self._draw_cutmix(images))
            )
        others = tf.gather(images, partners)
        # Exactly the image if it is its own partner.
        return others + kept * (images - others), Mix(partners, shares)

    def _draw_partners(self, weights: tf.Tensor) -> tf.Tensor:
        """Arrange the rows with a weight in a random ring, where each has the next as partner."""
        num_rows = tf.math.count_nonzero(weights > 0, dtype=tf.int32)
        fractions = self._draw_fractions(tf.shape(weights))
        order = tf.argsort(tf.where(weights > 0, fractions, 2.0))  # others come last
        place = tf.argsort(order)
        following = tf.where(place + 1 < num_rows, place + 1, 0)
        return tf.gather(order, tf.where(place < num_rows, following, place))

    def _draw_mixup(self, images: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
        shares = self._draw_beta(self._mixup_alpha, tf.shape(images)[0])
        return shares[:, None, None, None], shares

    def _draw_cutmix(self, images: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
        _, height_px, width_px, _ = images.shape
        half_side = tf.sqrt(1 - self._draw_beta(self._cutmix_alpha, tf.shape(images)[0])) / 2
        y, x = tf.unstack(self._draw_fractions([2, tf.shape(images)[0]]))
        boxes = Boxes(
            *_interval(y, half_side, height_px),
            *_interval(x, half_side, width_px),
        )
        kept = 1 - tf.cast(boxes.masks(height_px, width_px), images.dtype)
        return kept, tf.reduce_mean(kept, axis=[1, 2, 3])

    def _draw_beta(self, alpha: float, count: tf.Tensor) -> tf.Tensor:
        """Draw (count,) numbers of Beta(alpha, alpha), float32."""
        seed = self._random_generator.make_seed_for_stateless_op()
        # For a small alpha most numbers are too small for float32. They are above 0: TensorFlow
        # returns at least the smallest normal number.
        first, second = tf.unstack(
            tf.random.stateless_gamma([2, count], seed, alpha, dtype=tf.float64)
        )
        return tf.cast(first / (first + second), DTYPE)

    def _draw_fractions(self, shape: tf.Tensor) -> tf.Tensor:
        return self._random_generator.random_uniform(shape)


def _interval(
    centre: tf.Tensor, half_length: tf.Tensor, side_px: int
) -> tuple[tf.Tensor, tf.Tensor]:
    """Return the first pixel of an interval and the one after it, clipped to 0..side_px.

    Args:
        centre, half_length: as fractions of the side.
    """
    start, stop = (centre - half_length) * side_px, (centre + half_length) * side_px
    return (
        tf.cast(tf.round(tf.maximum(start, 0.0)), tf.int32),
        tf.cast(tf.round(tf.minimum(stop, float(side_px))), tf.int32),
    )


class MixedNetwork:
    """A network whose rows are mixed after augmentation and normalisation. It is no Keras layer."""

    def __init__(self, network: tf.keras.Model, settings: AugmentSettings) -> None:
        """Use the layers of `network`; one of the methods of `RowMixer` is set."""
        self._first_part, self._second_part = models.split_after_normalisation(network)
        self.mixer = RowMixer(settings.mixup_alpha, settings.cutmix_alpha)

    def __call__(self, pixels: tf.Tensor, weights: tf.Tensor) -> tuple[tf.Tensor, Mix]:
        """Return the probabilities of mixed rows in training, and how they are mixed."""
        mixed, mix = self.mixer(self._first_part(pixels, training=True), weights)
        return self._second_part(mixed, training=True), mix
