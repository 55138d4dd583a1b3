"""Settings of residual networks."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field, NonNegativeInt, PositiveInt, model_validator

from halftone.config.network import (
    FAMILY,
    Fraction,
    NetworkSettings,
    OneOrPerLayer,
    OutputScale,
    check_count,
)


class Residual(NetworkSettings):
    """A stem, stages of residual blocks, and the mean of each feature map.

    The defaults are those of ResNet-20 for images of 32x32.
    """

    name: Literal["residual"] = Field("residual", description=FAMILY)
    stem_filters: PositiveInt = Field(16, description="filters of the first convolution")
    stem_kernel_px: PositiveInt = Field(3, description="side of its kernel; 7 for large images")
    stem_stride_px: PositiveInt = Field(1, description="its stride; 2 for large images")
    stem_pooling: bool = Field(
        False, description="3x3 max pooling of stride 2 after the first convolution"
    )
    filters: Annotated[tuple[PositiveInt, ...], Field(min_length=1)] = Field(
        (16, 32, 64),
        description="filters of each stage; blocks with a bottleneck have 4 times as many outputs",
    )
    blocks: OneOrPerLayer[NonNegativeInt] = Field(
        (3,), description="residual blocks of each stage: one value, or one per stage"
    )
    strides_px: OneOrPerLayer[PositiveInt] = Field(
        (1, 2, 2), description="stride at the start of each stage: one value, or one per stage"
    )
    stage_start: Literal["block", "convolution"] = Field(
        "block",
        description="block: the first block of a stage has its stride; convolution: a 3x3 "
        "convolution, then max pooling of the stride, come before the blocks",
    )
    bottleneck: bool = Field(
        False, description="blocks of 1x1, 3x3 and 1x1 convolutions instead of two of 3x3"
    )
    activation_order: Literal["post", "pre", "before_addition"] = Field(
        "post",
        description="post: the last activation of a block follows the addition; pre: batch "
        "normalisation and activation precede each convolution; before_addition: the last "
        "activation precedes the addition, which nothing follows",
    )
    shortcut: Literal["projection", "pad"] = Field(
        "projection",
        description="past a block that changes the shape: projection: a 1x1 convolution; pad: "
        "every n-th pixel, and zeros for the channels that are missing",
    )
    batch_norm_momentum: float = Field(
        0.9, ge=0.0, lt=1.0, description="momentum of the running mean and variance"
    )
    global_pooling: Literal["average", "max"] = Field(
        "average", description="of each feature map, before the output layer"
    )
    dropout: Fraction = Field(0.0, description="dropout rate before the output layer")
    output_scale: OutputScale = 1.0

    @model_validator(mode="after")
    def _values_match_stages(self) -> Residual:
        stages = len(self.filters)
        check_count("blocks", self.blocks, stages, "stages")
        check_count("strides_px", self.strides_px, stages, "stages")
        return self

    @model_validator(mode="after")
    def _stages_have_layers(self) -> Residual:
        if self.stage_start == "block" and 0 in self.blocks:
            raise ValueError(
                f"blocks {list(self.blocks)}: a stage without blocks has no layers; use 1 or more, "
                "or stage_start convolution"
            )
        return self

    @model_validator(mode="after")
    def _shortcuts_can_be_padded(self) -> Residual:
        if self.shortcut == "pad":
            outputs = [4 * number if self.bottleneck else number for number in self.filters]
            counts = [self.stem_filters, *outputs]
            if counts != sorted(counts):
                raise ValueError(
                    f"shortcut pad adds channels and cannot remove any, but stem and stages have "
                    f"{', '.join(map(str, counts))}; use growing filters, or shortcut projection"
                )
        return self
