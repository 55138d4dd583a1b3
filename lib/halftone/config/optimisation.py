"""Settings of the optimizer and of its learning rate."""

from __future__ import annotations

from typing import Literal, Optional

from pydantic import Field, PositiveInt, model_validator

from halftone.config.base import ConfigSection
from halftone.config.effects import RESUMABLE


class OptimisationSettings(ConfigSection):
    """How gradients change the weights, and by how much over the epochs."""

    epochs: int = Field(
        10,
        ge=1,
        description="how often the train split is passed; patience may stop earlier",
        json_schema_extra=RESUMABLE,
    )
    optimizer: Literal["adam", "adamw", "sgd"] = Field(
        "adam", description="adamw: adam that insists on a weight_decay; both decouple it"
    )
    learning_rate: float = Field(
        1e-3, gt=0.0, description="by how much an update changes the weights; see decay"
    )
    momentum: float = Field(0.0, ge=0.0, lt=1.0, description="for optimizer sgd only")
    nesterov: bool = Field(
        False, description="Nesterov's momentum, for optimizer sgd with a momentum"
    )
    bias_learning_rate_factor: float = Field(
        1.0,
        gt=0.0,
        description="for optimizer sgd: factor of the learning rate of biases and of the shifts of "
        "batch normalisation, in all layers but the output layer",
    )
    scale_learning_rate: bool = Field(
        False, description="multiply the learning rate by the number of ranks"
    )
    warmup_epochs: int = Field(
        0, ge=0, description="number of epochs over which the learning rate rises to its value"
    )
    decay: Literal["none", "cosine", "steps", "one_cycle", "plateau"] = Field(
        "none",
        description="how the learning rate falls after the warm-up. cosine: along half a cosine to "
        "0 at the end of the last epoch; steps: by decay_factor after each of decay_epochs; "
        "one_cycle: it rises along a line to its value and falls along another; plateau: by "
        "decay_factor after decay_patience epochs that are not better",
    )
    decay_epochs: tuple[PositiveInt, ...] = Field(
        (), description="for decay steps: numbers of the epochs after which it falls: [30, 60]"
    )
    decay_factor: float = Field(
        0.1, gt=0.0, lt=1.0, description="for decay steps and plateau: what it is multiplied by"
    )
    decay_patience: int = Field(
        5, ge=1, description="for decay plateau: epochs without a better one before it falls"
    )
    one_cycle_rise_fraction: float = Field(
        0.3, gt=0.0, lt=1.0, description="part of all updates in which the learning rate rises"
    )
    one_cycle_start_factor: float = Field(
        0.04, ge=0.0, le=1.0, description="learning rate of the first update, over learning_rate"
    )
    one_cycle_end_factor: float = Field(
        0.0, ge=0.0, le=1.0, description="learning rate after the last update, over learning_rate"
    )
    weight_decay: float = Field(
        0.0,
        ge=0.0,
        lt=1.0,
        description="decoupled weight decay: each step subtracts this times the learning rate "
        "from kernels, not from biases",
    )
    clip_norm: Optional[float] = Field(
        None, gt=0.0, description="gradients are scaled down to this global norm"
    )

    @model_validator(mode="after")
    def _optimizer_has_its_settings(self) -> OptimisationSettings:
        if self.optimizer == "adamw" and not self.weight_decay:
            raise ValueError(
                "optimizer adamw with weight_decay 0 is adam; set weight_decay (such as 0.01), or "
                "use optimizer adam"
            )
        if self.nesterov and (self.optimizer != "sgd" or not self.momentum):
            raise ValueError(
                f"nesterov needs optimizer sgd and a momentum; they are {self.optimizer} and "
                f"{self.momentum:g}. Use sgd and a momentum such as 0.9, or remove nesterov"
            )
        if self.bias_learning_rate_factor != 1 and self.optimizer != "sgd":
            raise ValueError(
                f"bias_learning_rate_factor {self.bias_learning_rate_factor:g} needs optimizer "
                f"sgd; {self.optimizer} does not depend on the scale of gradients. Use sgd, or "
                "remove it"
            )
        return self

    @model_validator(mode="after")
    def _decay_fits_the_epochs(self) -> OptimisationSettings:
        if self.decay == "cosine" and self.warmup_epochs >= self.epochs:
            raise ValueError(
                f"warmup_epochs {self.warmup_epochs} of {self.epochs} epochs leave none for decay "
                "cosine; use fewer"
            )
        if self.decay == "one_cycle" and self.warmup_epochs:
            raise ValueError(
                f"decay one_cycle rises for one_cycle_rise_fraction "
                f"{self.one_cycle_rise_fraction:g} of the training by itself; use warmup_epochs 0 "
                f"(it is {self.warmup_epochs})"
            )
        if (self.decay == "steps") != bool(self.decay_epochs):
            raise ValueError(
                f"decay is {self.decay} and decay_epochs {list(self.decay_epochs)}; decay steps "
                "needs the epochs after which the learning rate falls, other decays have none"
            )
        if list(self.decay_epochs) != sorted(set(self.decay_epochs)):
            raise ValueError(
                f"decay_epochs {list(self.decay_epochs)} must be in order, each once; use "
                f"{sorted(set(self.decay_epochs))}"
            )
        if self.decay_epochs and self.decay_epochs[-1] >= self.epochs:
            raise ValueError(
                f"decay_epochs {list(self.decay_epochs)}: no epoch follows epoch "
                f"{self.decay_epochs[-1]} of {self.epochs}; use earlier ones, or more epochs"
            )
        return self
