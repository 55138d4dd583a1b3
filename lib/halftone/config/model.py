"""Settings of plain convolutional networks and of multi-layer perceptrons."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import cycle
from typing import Literal, NamedTuple, Optional

from pydantic import Field, PositiveInt, model_validator

from halftone.config.base import ConfigError
from halftone.config.network import (
    FAMILY,
    Fraction,
    NetworkSettings,
    OneOrPerLayer,
    OutputScale,
    check_count,
)


class _SlidingWindow(NamedTuple):
    """The window that a convolution or a pooling slides over a feature map."""

    layer: str
    side_px: int
    stride_px: int
    padding: str
    remedy: str  # advice if the window does not fit

    def output_side_px(self, side_px: int) -> int:
        """Return the side of a feature map after this layer; 0 if the window does not fit."""
        if self.padding == "same":
            return -(-side_px // self.stride_px)
        return max(0, (side_px - self.side_px) // self.stride_px + 1)


class Convnet(NetworkSettings):
    """Convolutions, by default with 2x2 pooling after each, then dense layers."""

    name: Literal["convnet"] = Field("convnet", description=FAMILY)
    filters: tuple[PositiveInt, ...] = Field(
        (32, 32), min_length=1, description="number of filters of each convolution"
    )
    kernels_px: tuple[PositiveInt, ...] = Field(
        (3,), min_length=1, description="side of the kernels: one value, or one per convolution"
    )
    strides_px: tuple[PositiveInt, ...] = Field(
        (1,), min_length=1, description="stride: one value, or one per convolution"
    )
    padding: Literal["same", "valid"] = Field("valid", description="padding of the convolutions")
    pooling: Literal["max", "average"] = Field(
        "max", description="what a pooling takes of its 2x2 values"
    )
    pool_after: Optional[tuple[PositiveInt, ...]] = Field(
        None, description="numbers of the convolutions, from 1, with pooling; default: all"
    )
    pool_padding: Literal["same", "valid"] = Field(
        "valid", description="same: half of an odd side is rounded up, valid: down"
    )
    activation: OneOrPerLayer[Literal["relu", "leaky_relu", "gelu", "none"]] = Field(
        ("relu",),
        description="one value, or one per layer: all convolutions, then all dense layers",
    )
    leaky_slope: float = Field(
        0.3, ge=0.0, lt=1.0, description="slope of leaky_relu for negative values"
    )
    batch_norm: bool = Field(
        False, description="batch normalisation after every convolution, before its pooling"
    )
    batch_norm_before_activation: bool = Field(
        False, description="apply batch_norm before the activation instead of after it"
    )
    batch_norm_momentum: float = Field(
        0.99,
        ge=0.0,
        lt=1.0,
        description="momentum of the running mean and variance; use 0.9 for trainings of fewer "
        "than about 500 steps, in which slower averages do not converge",
    )
    batch_norm_scale: bool = Field(
        True, description="train a scale for each feature map in batch_norm, not only a shift"
    )
    pool_before_activation: bool = Field(
        False,
        description="pooling directly follows the convolution: batch_norm and activation, which "
        "then have a quarter of the values, come after it",
    )
    conv_bias: bool = Field(
        True,
        description="convolutions have a bias; with batch_norm before the activation it has "
        "no effect",
    )
    conv_dropout: Fraction = Field(0.0, description="dropout rate after every pooling")
    whitening_px: Optional[PositiveInt] = Field(
        None,
        ge=2,
        le=5,
        description="side of the kernels of a first convolution that is not trained: it makes the "
        "pixels of a patch uncorrelated, see docs/how-to/training.md",
    )
    identity_start: bool = Field(
        False,
        description="at the start, the first feature maps of every convolution are copies of its "
        "input",
    )
    global_average: bool = Field(
        False, description="feed the mean of each feature map to the dense layers, not all values"
    )
    global_max: bool = Field(
        False, description="feed the maximum of each feature map to the dense layers"
    )
    dense: tuple[PositiveInt, ...] = Field((128,), description="units of each dense layer")
    dense_dropout: OneOrPerLayer[Fraction] = Field(
        (0.0,), description="dropout rate after every dense layer: one value, or one per layer"
    )
    output_scale: OutputScale = 1.0

    @model_validator(mode="after")
    def _values_match_layers(self) -> Convnet:
        convolutions, dense = len(self.filters), len(self.dense)
        check_count("kernels_px", self.kernels_px, convolutions, "filters")
        check_count("strides_px", self.strides_px, convolutions, "filters")
        check_count("activation", self.activation, convolutions + dense, "layers")
        check_count("dense_dropout", self.dense_dropout, dense, "dense layers")
        return self

    @model_validator(mode="after")
    def _feature_maps_are_pooled_once(self) -> Convnet:
        if self.global_average and self.global_max:
            raise ValueError("global_average and global_max exclude each other; use one of them")
        return self

    @model_validator(mode="after")
    def _batch_norm_has_its_settings(self) -> Convnet:
        if not self.batch_norm_scale and not self.batch_norm:
            raise ValueError("batch_norm_scale false needs batch_norm true; set it, or remove both")
        is_after_activation = self.batch_norm and not self.batch_norm_before_activation
        if self.pool_before_activation and is_after_activation:
            raise ValueError(
                "pool_before_activation needs batch_norm_before_activation true, as the order is "
                "convolution, pooling, batch_norm, activation; set it, or remove both"
            )
        return self

    @model_validator(mode="after")
    def _pools_match_convolutions(self) -> Convnet:
        if self.pool_after is None:
            return self
        convolutions, named = len(self.filters), list(self.pool_after)
        if named != sorted({*named} & {*range(1, convolutions + 1)}):
            raise ValueError(
                f"pool_after {named} must name convolutions from 1 to {convolutions}, each once "
                "and in order"
            )
        if self.conv_dropout and not named:
            raise ValueError(
                f"conv_dropout {self.conv_dropout:g} follows poolings, but pool_after is []; use "
                "conv_dropout 0, or name convolutions in pool_after"
            )
        return self

    def check_image_size(self, height_px: int, width_px: int) -> None:
        """Check that every layer's output has at least one pixel.

        Raises:
            ConfigError: images of this size are too small for the network.
        """
        for side, side_px in (("height", height_px), ("width", width_px)):
            output_px = side_px
            for window in self._windows():
                input_px, output_px = output_px, window.output_side_px(output_px)
                if output_px < 1:
                    raise ConfigError(
                        f"images of {side} {side_px} px are too small for train.model: "
                        f"{window.layer} needs {window.side_px} px and gets {input_px}; use "
                        f"{window.remedy} or fewer filters, or preprocess to a larger size"
                    )

    def _windows(self) -> Iterator[_SlidingWindow]:
        if self.whitening_px:
            yield _SlidingWindow(
                "the whitening", self.whitening_px, 1, "valid", "a smaller whitening_px"
            )
        sides = zip(self.filters, cycle(self.kernels_px), cycle(self.strides_px))
        for number, (_, kernel_px, stride_px) in enumerate(sides, 1):
            layer = f"convolution {number}"
            yield _SlidingWindow(
                layer, kernel_px, stride_px, self.padding, "padding same, a smaller kernel"
            )
            if self.pool_after is None or number in self.pool_after:
                remedy = "pool_padding same, a shorter pool_after"
                yield _SlidingWindow(f"the pooling after {layer}", 2, 2, self.pool_padding, remedy)


class Mlp(NetworkSettings):
    """Dense layers on the flattened pixels; without hidden layers, logistic regression."""

    name: Literal["mlp"] = Field("mlp", description=FAMILY)
    hidden: tuple[PositiveInt, ...] = Field(
        (200, 60), description="units of each hidden layer; []: logistic regression"
    )
    dropout: OneOrPerLayer[Fraction] = Field(
        (0.0,), description="dropout rate after every hidden layer: one value, or one per layer"
    )

    @model_validator(mode="after")
    def _values_match_layers(self) -> Mlp:
        check_count("dropout", self.dropout, len(self.hidden), "hidden layers")
        return self
