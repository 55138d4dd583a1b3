"""Settings of plain convolutional networks and of multi-layer perceptrons."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import cycle
from typing import Literal, NamedTuple, Optional

from pydantic import Field, PositiveInt, model_validator

from halftone.config.base import ConfigError
from halftone.config.network import Fraction, NetworkSettings, OneOrPerLayer, check_count


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

    name: Literal["convnet"] = "convnet"
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
    pooling: Literal["max", "average"] = "max"
    pool_after: Optional[tuple[PositiveInt, ...]] = Field(
        None, description="numbers of the convolutions, from 1, with pooling; default: all"
    )
    pool_padding: Literal["same", "valid"] = Field(
        "valid", description="same: half of an odd side is rounded up, valid: down"
    )
    activation: OneOrPerLayer[Literal["relu", "leaky_relu", "none"]] = Field(
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
    conv_dropout: Fraction = Field(0.0, description="dropout rate after every pooling")
    global_average: bool = Field(
        False, description="feed the mean of each feature map to the dense layers, not all values"
    )
    dense: tuple[PositiveInt, ...] = Field((128,), description="units of each dense layer")
    dense_dropout: OneOrPerLayer[Fraction] = Field(
        (0.0,), description="dropout rate after every dense layer: one value, or one per layer"
    )

    @model_validator(mode="after")
    def _values_match_layers(self) -> Convnet:
        convolutions, dense = len(self.filters), len(self.dense)
        check_count("kernels_px", self.kernels_px, convolutions, "filters")
        check_count("strides_px", self.strides_px, convolutions, "filters")
        check_count("activation", self.activation, convolutions + dense, "layers")
        check_count("dense_dropout", self.dense_dropout, dense, "dense layers")
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

    name: Literal["mlp"] = "mlp"
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
