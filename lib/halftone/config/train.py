"""Settings of a training."""

from __future__ import annotations

from typing import Annotated, Literal, Optional

from pydantic import (
    Field,
    PositiveInt,
    WithJsonSchema,
    model_validator,
)

from halftone.config.application import NO_WEIGHTS, Application
from halftone.config.augment import AugmentSettings
from halftone.config.base import ConfigError, ConfigSection, PathOrUrl
from halftone.config.custom import Custom
from halftone.config.effects import NOTHING, RESUMABLE
from halftone.config.families import AnyNetwork
from halftone.config.freezing import FreezingSettings
from halftone.config.model import Convnet
from halftone.config.network import OneOrPerLayer
from halftone.config.objective import ObjectiveSettings

_SIDE = {"type": "integer", "exclusiveMinimum": 0}
_SIDES = {"anyOf": [_SIDE, {"type": "array", "items": _SIDE, "minItems": 1, "maxItems": 2}]}


class NetworkInputSettings(ConfigSection):
    """The network, and how rows of the dataset become its input."""

    model: AnyNetwork = Field(
        Convnet(),
        discriminator="name",
        description="the network; name is its family, and the other settings depend on it",
    )
    input_px: Optional[
        Annotated[OneOrPerLayer[PositiveInt], Field(max_length=2), WithJsonSchema(_SIDES)]
    ] = Field(
        None,
        description="side, or [height, width], to which the network resizes the images of the "
        "dataset; default: their size",
    )
    normalise: Literal["0..1", "-0.5..0.5", "standard"] = Field(
        "0..1",
        description="range of the pixel values after the model's first layer; standard: mean 0 "
        "and standard deviation 1, by channel, over the train split",
    )
    augment: AugmentSettings = AugmentSettings()
    cache: Literal["auto", "memory", "none"] = Field(
        "auto",
        description="memory: each rank caches its part of the train split and shuffles all of it; "
        "none: each rank reads its part from storage at every epoch, and ranks exchange parts; "
        "auto: memory if the parts of all ranks on a machine fit into a quarter of its memory",
    )
    shuffle: bool = Field(
        True,
        description="shuffle the rows at every epoch; false: all epochs use the order of the "
        "dataset, which is that of a hash",
    )


# The fields of the last base class come first in files and reports.
class TrainSettings(FreezingSettings, ObjectiveSettings, NetworkInputSettings):
    """How a model is trained on a dataset."""

    batch_size: int = Field(64, ge=1, description="rows per step, over all ranks together")
    precision: Literal["float32", "mixed_float16", "mixed_bfloat16"] = Field(
        "float32", description="precision of the layers' computations; weights stay float32"
    )
    compression: Literal["none", "fp16"] = Field(
        "none", description="compression of the gradients that ranks exchange"
    )
    aggregate_steps: int = Field(
        1, ge=1, description="number of steps whose gradients are summed before ranks exchange them"
    )
    cycle_ms: float = Field(
        1.0,
        gt=0.0,
        le=1000.0,
        description="Horovod's cycle time: the interval at which ranks exchange gradients",
        json_schema_extra=NOTHING,
    )
    start_from: Optional[PathOrUrl] = Field(
        None,
        description="model directory with initial weights, of the same network; if it has other "
        "classes, the output layer is new and all other layers have its weights",
    )
    patience: Optional[int] = Field(
        None,
        ge=1,
        description="stop after this many epochs without a better one, by best_by",
        json_schema_extra=RESUMABLE,
    )
    ranks: int = Field(1, ge=1, description="number of Horovod ranks", json_schema_extra=RESUMABLE)
    launcher: Literal["auto", "process", "horovodrun", "spark"] = Field(
        "auto",
        description="auto: this process for 1 rank, Spark executors on a cluster, else horovodrun",
        json_schema_extra=NOTHING,
    )
    hosts: Optional[str] = Field(
        None,
        pattern=r"^[^:,\s]+:[1-9]\d*(,[^:,\s]+:[1-9]\d*)*$",
        description="for horovodrun: HOST:SLOTS,HOST:SLOTS; default: this machine",
        json_schema_extra=NOTHING,
    )
    network_interface: Optional[str] = Field(
        None,
        description="interface through which ranks communicate; default: detected on each machine",
        json_schema_extra=NOTHING,
    )
    max_restarts: int = Field(
        2,
        ge=0,
        description="how often failed ranks are restarted from the last checkpoint",
        json_schema_extra=NOTHING,
    )
    keep_checkpoints: int = Field(
        2,
        ge=1,
        description="number of latest checkpoints to keep, besides the best",
        json_schema_extra=NOTHING,
    )

    @model_validator(mode="after")
    def _pixels_are_scaled_once(self) -> TrainSettings:
        if isinstance(self.model, Application) and self.normalise != "0..1":
            raise ValueError(
                f"normalise is {self.normalise}, but model.name application scales its input as "
                f"{self.model.architecture} needs it; remove normalise"
            )
        return self

    @model_validator(mode="after")
    def _frozen_weights_were_trained(self) -> TrainSettings:
        # A function of the user's own may load weights.
        has_weights = isinstance(self.model, Custom) or (
            isinstance(self.model, Application) and self.model.weights != NO_WEIGHTS
        )
        if self.freeze != "none" and self.start_from is None and not has_weights:
            raise ValueError(
                f"freeze is {self.freeze}, but all weights are random; set start_from to a model, "
                "or model.weights of model.name application to a weights file, or remove freeze"
            )
        return self

    @model_validator(mode="after")
    def _settings_fit_together(self) -> TrainSettings:
        if self.batch_size % self.ranks:
            below = self.batch_size // self.ranks * self.ranks
            valid_sizes = " or ".join(str(size) for size in (below, below + self.ranks) if size)
            raise ValueError(
                f"batch_size {self.batch_size} is not divisible by the {self.ranks} ranks; "
                f"use {valid_sizes}"
            )
        if self.sampling == "balanced" and (self.cache == "none" or not self.shuffle):
            raise ValueError(
                f"sampling balanced draws rows at random from memory; cache is {self.cache} and "
                f"shuffle {str(self.shuffle).lower()}. Use cache auto or memory and shuffle true, "
                "or class_weights balanced"
            )
        if self.augment.mixes_rows and self.batch_size == self.ranks:
            raise ValueError(
                f"batch_size is {self.batch_size}, which is 1 row for each of {self.ranks} ranks, "
                "but augment.mixup_alpha and cutmix_alpha mix the rows of a rank's batch; use a "
                f"batch_size of {2 * self.ranks} or more, or 0 for both"
            )
        if self.launcher == "process" and self.ranks > 1:
            raise ValueError(
                f"launcher process runs 1 rank, ranks is {self.ranks}; "
                "use launcher auto, horovodrun or spark"
            )
        return self

    @property
    def needs_statistics(self) -> bool:
        """Whether mean and standard deviation of the train split's pixels are used."""
        return self.normalise == "standard" or self.augment.cutout_px > 0

    def input_size(self, shape: tuple[int, int, int]) -> tuple[int, int]:
        """Return the height and width of the network's input for images of a shape."""
        return shape[:2] if self.input_px is None else (self.input_px[0], self.input_px[-1])

    def check_images(self, height_px: int, width_px: int, channels: int) -> None:
        """Check that network and augmentation can take images of this shape.

        Raises:
            ConfigError: a setting does not fit them.
        """
        size = self.input_size((height_px, width_px, channels))
        if size[0] > height_px or size[1] > width_px:
            raise ConfigError(
                f"train.input_px is {size[0]}x{size[1]}, but the images of the dataset are "
                f"{height_px}x{width_px} px; use at most their size, or preprocess to a larger one"
            )
        try:
            self.model.check_image_size(*size)
            self.augment.check_images(*size, channels)
        except ConfigError as error:
            if self.input_px is None:
                raise
            raise ConfigError(f"{error}. The size is that of train.input_px") from None
