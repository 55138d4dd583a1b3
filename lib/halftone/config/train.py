"""Settings of a training."""

from __future__ import annotations

from typing import Literal, Optional, Union

from pydantic import (
    Field,
    model_validator,
)

from halftone.config.base import ConfigSection
from halftone.config.model import Convnet, Mlp


class AugmentSettings(ConfigSection):
    """Random changes of each image of a step, in training only; none unless asked."""

    flip: Literal["none", "horizontal", "vertical", "both"] = "none"
    shift_fraction: float = Field(
        0.0, ge=0.0, le=0.5, description="of each side, either way, by whole pixels"
    )
    rotate_degrees: float = Field(0.0, ge=0.0, le=180.0, description="either way")
    zoom_fraction: float = Field(
        0.0, ge=0.0, le=0.9, description="in or out, of the side that is seen"
    )
    brightness_fraction: float = Field(0.0, ge=0.0, le=1.0, description="of the whole range")
    contrast_fraction: float = Field(0.0, ge=0.0, le=1.0, description="more or less")


class TrainSettings(ConfigSection):
    """Dataset to model."""

    model: Union[Convnet, Mlp] = Field(Convnet(), discriminator="name")
    normalise: Literal["0..1", "-0.5..0.5", "standard"] = Field(
        "0..1",
        description="by the model's first layer; standard: mean 0 and deviation 1, by channel, "
        "over the train split",
    )
    augment: AugmentSettings = AugmentSettings()
    cache: Literal["auto", "memory", "none"] = Field(
        "auto",
        description="memory: a rank keeps its part of the train split and shuffles it whole; none: "
        "it reads its part from storage at each epoch, and ranks exchange parts; auto: memory "
        "where the parts of a machine's ranks fit into a quarter of its memory",
    )
    shuffle: bool = Field(
        True,
        description="every epoch has an order of its own; false: all have one, which is that of "
        "the dataset, a hash's",
    )
    epochs: int = Field(10, ge=1)
    batch_size: int = Field(64, ge=1, description="rows a step over all ranks together")
    optimizer: Literal["adam", "sgd"] = "adam"
    learning_rate: float = Field(1e-3, gt=0.0)
    momentum: float = Field(0.0, ge=0.0, lt=1.0, description="sgd only")
    scale_learning_rate: bool = Field(False, description="times the number of ranks")
    warmup_epochs: int = Field(
        0, ge=0, description="the learning rate rises to its value over so many epochs"
    )
    decay: Literal["none", "cosine"] = Field(
        "none",
        description="cosine: after the warm-up the learning rate falls to 0 at the last epoch's "
        "end, as half a cosine",
    )
    weight_decay: float = Field(
        0.0,
        ge=0.0,
        lt=1.0,
        description="a step takes this times the learning rate off kernels, not off biases",
    )
    clip_norm: Optional[float] = Field(
        None, gt=0.0, description="gradients are scaled down to this global norm"
    )
    precision: Literal["float32", "mixed_float16", "mixed_bfloat16"] = Field(
        "float32", description="of the layers' arithmetic; weights stay float32"
    )
    compression: Literal["none", "fp16"] = Field(
        "none", description="of the gradients that ranks send each other"
    )
    aggregate_steps: int = Field(
        1, ge=1, description="steps whose gradients a rank adds up before ranks exchange them"
    )
    cycle_ms: float = Field(
        1.0,
        gt=0.0,
        le=1000.0,
        description="ranks ask each other so often for gradients to exchange; Horovod's cycle time",
    )
    start_from: Optional[str] = Field(
        None, description="a model of the same network and classes, whose weights are the first"
    )
    patience: Optional[int] = Field(
        None, ge=1, description="stop after so many epochs without a better validation loss"
    )
    ranks: int = Field(1, ge=1, description="Horovod ranks")
    launcher: Literal["auto", "process", "horovodrun", "spark"] = Field(
        "auto",
        description="auto: this process for 1 rank, Spark executors on a cluster, else horovodrun",
    )
    hosts: Optional[str] = Field(
        None,
        pattern=r"^[^:,\s]+:[1-9]\d*(,[^:,\s]+:[1-9]\d*)*$",
        description="horovodrun: HOST:SLOTS,HOST:SLOTS; default: this machine",
    )
    network_interface: Optional[str] = Field(
        None, description="over which ranks reach each other; default: found"
    )
    max_restarts: int = Field(
        2, ge=0, description="how often ranks that died are started again from the last checkpoint"
    )
    keep_checkpoints: int = Field(2, ge=1, description="newest ones, besides the best")

    @model_validator(mode="after")
    def _settings_fit_together(self) -> TrainSettings:
        if self.batch_size % self.ranks:
            below = self.batch_size // self.ranks * self.ranks
            cures = " or ".join(str(size) for size in (below, below + self.ranks) if size)
            raise ValueError(
                f"batch_size {self.batch_size} does not divide among {self.ranks} ranks; "
                f"use {cures}"
            )
        if self.decay == "cosine" and self.warmup_epochs >= self.epochs:
            raise ValueError(
                f"warmup_epochs {self.warmup_epochs} of {self.epochs} epochs leave none for decay "
                "cosine; use fewer"
            )
        if self.launcher == "process" and self.ranks > 1:
            raise ValueError(
                f"launcher process runs 1 rank, ranks is {self.ranks}; "
                "use launcher auto, horovodrun or spark"
            )
        return self
