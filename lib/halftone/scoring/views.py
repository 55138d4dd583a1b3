"""Views of an image, whose probabilities are averaged in scoring (test-time augmentation).

The mirror image: "Very Deep Convolutional Networks for Large-Scale Image Recognition" (Simonyan and
Zisserman, 2014, section 3.2). Translations by a pixel, and the weights: "94% on CIFAR-10 in 3.29
Seconds on a Single GPU" (Jordan, 2024), which averages logits; here, as in the first, probabilities
are averaged.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple

from halftone.config.score import NO_VIEWS
from halftone.errors import InputError

_PAD_PX = 1  # on each side, by reflection: the edge itself is not repeated


class View(NamedTuple):
    """A changed copy of an image, of the same size."""

    weight: float  # of its probabilities
    is_mirrored: bool = False  # left to right
    shift_px: int = 0  # to the right and down; negative: to the left and up


# By the setting score.views. Weights add up to 1.
VIEWS: dict[str, tuple[View, ...]] = {
    NO_VIEWS: (View(1.0),),
    "flip": (View(0.5), View(0.5, is_mirrored=True)),
    "flip_translate": tuple(
        View(weight / 2, is_mirrored, shift_px)
        for weight, shift_px in ((0.5, 0), (0.25, -1), (0.25, 1))
        for is_mirrored in (False, True)
    ),
}


def check_image_size(setting: str, height_px: int, width_px: int) -> None:
    """Raise InputError if images are too small to be translated."""
    is_translated = any(view.shift_px for view in VIEWS[setting])
    if is_translated and min(height_px, width_px) <= _PAD_PX:
        raise InputError(
            f"score.views {setting} reflects a pixel at each edge, which needs images of "
            f"{_PAD_PX + 1}x{_PAD_PX + 1} px or more; the model takes {height_px}x{width_px} px. "
            "Use score.views flip or none"
        )


def predict_views(network: Any, images: Any, views: Sequence[View]) -> Any:
    """Return the weighted mean of the network's outputs for the views of images.

    Runs inside a graph. All views go through the network together, as one batch.

    Args:
        network: a Keras model from pixels to probabilities.
        images: tensor (N, H, W, C) uint8.

    Returns:
        Tensor (N, F) float32.
    """
    import tensorflow as tf  # here, because only workers need it

    if len(views) == 1:
        return network(images, training=False)
    _, height_px, width_px, _ = images.shape
    edges = [_PAD_PX, _PAD_PX]
    copies = []
    for view in views:
        copy = images
        if view.shift_px:
            padded = tf.pad(images, [[0, 0], edges, edges, [0, 0]], mode="REFLECT")
            start = _PAD_PX - view.shift_px
            copy = padded[:, start : start + height_px, start : start + width_px]
        copies.append(copy[:, :, ::-1] if view.is_mirrored else copy)
    outputs = network(tf.concat(copies, axis=0), training=False)
    weights = tf.constant([view.weight for view in views], outputs.dtype)
    return tf.tensordot(weights, tf.stack(tf.split(outputs, len(views))), axes=1)
