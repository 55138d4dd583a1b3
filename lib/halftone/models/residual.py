"""Residual networks: a stem, stages of blocks with shortcuts, and one value per feature map.

Input: (N, H, W, C) float32. Output: (N, F) float32, where F is the number of feature maps of the
last stage. Sources:

- "Deep Residual Learning for Image Recognition" (He et al., 2015): blocks of two convolutions and
  with a bottleneck (figure 5), shortcuts A (`pad`) and B (`projection`) of section 3.3, networks
  for ImageNet (table 1) and for CIFAR-10 (section 4.2), initial weights of reference 13. The
  stride of a bottleneck is that of its 3x3 convolution, as in the networks that its authors
  published later; this changes no parameter count.
- "Identity Mappings in Deep Residual Networks" (He et al., 2016): the orders of activation of
  figure 4, `before_addition` (c) and `pre` (e). With `pre` the first block takes what the stem has
  activated, a block that changes the shape activates before the paths part, and an activation
  follows the last block, as in its section 4.1 and appendix.
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import cycle
from typing import Callable, NamedTuple

import tensorflow as tf

from halftone.models.output import scale_output

_Layer = Callable[[tf.Tensor], tf.Tensor]
_BATCH_NORM_EPSILON = 1e-5
_BOTTLENECK_OUTPUTS = 4  # per filter
_GLOBAL_POOLINGS = {
    "average": tf.keras.layers.GlobalAveragePooling2D,
    "max": tf.keras.layers.GlobalMaxPooling2D,
}


def add_residual_layers(
    x: tf.Tensor,
    *,
    stem_filters: int,
    stem_kernel_px: int,
    stem_stride_px: int,
    stem_pooling: bool,
    filters: Sequence[int],
    blocks: Sequence[int],
    strides_px: Sequence[int],
    stage_start: str,
    bottleneck: bool,
    activation_order: str,
    shortcut: str,
    batch_norm_momentum: float,
    global_pooling: str,
    dropout: float,
    output_scale: float,
) -> tf.Tensor:
    """Add the layers; the parameters are those of the config's `Residual`."""
    style = _BlockStyle(activation_order, bottleneck, shortcut, batch_norm_momentum)
    x = _convolve(x, stem_filters, stem_kernel_px, stem_stride_px, "stem_conv")
    x = style.activate(x, "stem")
    if stem_pooling:
        x = tf.keras.layers.ZeroPadding2D(1, name="stem_pad")(x)
        x = tf.keras.layers.MaxPooling2D(3, 2, name="stem_pool")(x)
    is_activated = True
    sizes = zip(filters, cycle(blocks), cycle(strides_px))
    for stage, (num_filters, num_blocks, stride_px) in enumerate(sizes, 1):
        name = f"stage{stage}"
        if stage_start == "convolution":
            if not is_activated and activation_order == "pre":
                x = style.activate(x, name)
            num_outputs = style.num_outputs(num_filters)
            x = style.activate(_convolve(x, num_outputs, 3, 1, f"{name}_conv"), f"{name}_conv")
            if stride_px > 1:
                pool = tf.keras.layers.MaxPooling2D(stride_px, padding="same", name=f"{name}_pool")
                x = pool(x)
            stride_px, is_activated = 1, True
        for block in range(1, num_blocks + 1):
            block_stride_px = stride_px if block == 1 else 1
            x = style.add_block(
                x, num_filters, block_stride_px, f"{name}_block{block}", is_activated
            )
            is_activated = activation_order == "post"
    if activation_order == "pre" and not is_activated:
        x = style.activate(x, "last")
    x = _GLOBAL_POOLINGS[global_pooling](name="global_pooling")(x)
    x = tf.keras.layers.Dropout(dropout, name="dropout")(x) if dropout else x
    return scale_output(x, output_scale)


class _BlockStyle(NamedTuple):
    """What all blocks of a network have in common."""

    activation_order: str
    bottleneck: bool
    shortcut: str
    momentum: float

    def num_outputs(self, num_filters: int) -> int:
        """Return the number of feature maps that a block with `num_filters` has as output."""
        return num_filters * (_BOTTLENECK_OUTPUTS if self.bottleneck else 1)

    def normalise(self, x: tf.Tensor, name: str) -> tf.Tensor:
        return tf.keras.layers.BatchNormalization(
            momentum=self.momentum, epsilon=_BATCH_NORM_EPSILON, name=f"{name}_norm"
        )(x)

    def activate(self, x: tf.Tensor, name: str) -> tf.Tensor:
        """Add batch normalisation and the activation."""
        return tf.keras.layers.ReLU(name=f"{name}_relu")(self.normalise(x, name))

    def add_block(
        self, x: tf.Tensor, num_filters: int, stride_px: int, name: str, is_activated: bool
    ) -> tf.Tensor:
        """Add a residual block.

        Args:
            is_activated: whether `x` comes out of an activation.
        """
        num_outputs = self.num_outputs(num_filters)
        changes_shape = stride_px > 1 or x.shape[-1] != num_outputs
        past = x
        if self.activation_order == "pre" and not is_activated:
            x = self.activate(x, name)
            past = x if changes_shape else past
        if changes_shape:
            past = self._add_shortcut(past, num_outputs, stride_px, f"{name}_shortcut")
        kernels = [(num_filters, 3, stride_px), (num_filters, 3, 1)]
        if self.bottleneck:
            kernels = [(num_filters, 1, 1), (num_filters, 3, stride_px), (num_outputs, 1, 1)]
        for number, (num_maps, kernel_px, kernel_stride_px) in enumerate(kernels, 1):
            layer = f"{name}_conv{number}"
            is_last = number == len(kernels)
            x = _convolve(x, num_maps, kernel_px, kernel_stride_px, layer)
            if not is_last or self.activation_order == "before_addition":
                x = self.activate(x, layer)
            elif self.activation_order == "post":
                x = self.normalise(x, layer)
        x = tf.keras.layers.Add(name=f"{name}_add")([past, x])
        if self.activation_order == "post":
            x = tf.keras.layers.ReLU(name=f"{name}_relu")(x)
        return x

    def _add_shortcut(self, x: tf.Tensor, num_outputs: int, stride_px: int, name: str) -> tf.Tensor:
        if self.shortcut == "projection":
            x = _convolve(x, num_outputs, 1, stride_px, name)
            # After a `pre` shortcut nothing stands between the additions, see section 3 of He 2016.
            return x if self.activation_order == "pre" else self.normalise(x, name)
        if stride_px > 1:
            # Pooling over one pixel: every n-th pixel.
            x = tf.keras.layers.MaxPooling2D(1, stride_px, name=f"{name}_pick")(x)
        missing = num_outputs - x.shape[-1]
        if missing:
            # Told that channels come first, Keras pads the last two axes: columns and channels.
            x = tf.keras.layers.ZeroPadding2D(
                ((0, 0), (missing // 2, missing - missing // 2)),
                data_format="channels_first",
                name=f"{name}_pad",
            )(x)
        return x


def _convolve(
    x: tf.Tensor, num_filters: int, kernel_px: int, stride_px: int, name: str
) -> tf.Tensor:
    """Add a convolution without bias; its output has 1 / stride of the side, rounded up."""
    padding = "same"
    if stride_px > 1 and kernel_px > 1:
        # As many zeros on both sides, so that kernels are centred on the pixels of the shortcut.
        # Keras' `same` puts one more at the end.
        sides = ((kernel_px - 1) // 2, kernel_px // 2)
        x = tf.keras.layers.ZeroPadding2D((sides, sides), name=f"{name}_pad")(x)
        padding = "valid"
    return tf.keras.layers.Conv2D(
        num_filters,
        kernel_px,
        stride_px,
        padding,
        use_bias=False,
        kernel_initializer="he_normal",
        name=name,
    )(x)
