"""Settings of layers that are not trained, or not from the first epoch on."""

from __future__ import annotations

from typing import Literal, Optional, Union

from pydantic import Field, PositiveInt, model_validator

from halftone.config.effects import ADDED
from halftone.config.optimisation import OptimisationSettings


class FreezingSettings(OptimisationSettings):
    """Which layers keep their first weights, and for how many epochs."""

    freeze: Union[Literal["none", "all"], PositiveInt] = Field(
        "none",
        description="layers that keep the weights that the training starts from. all: the body, "
        "which is all layers but the output layer, or but the head of model.name application; a "
        "number: the first layers of the body that have weights",
        json_schema_extra=ADDED,
    )
    unfreeze_after_epochs: Optional[int] = Field(
        None,
        ge=1,
        description="train all layers after this many epochs, with a new optimizer",
        json_schema_extra=ADDED,
    )
    unfreeze_learning_rate: Optional[float] = Field(
        None,
        gt=0.0,
        description="learning_rate of the epochs in which all layers are trained",
        json_schema_extra=ADDED,
    )

    def too_few_layers_message(self, num_layers: int) -> str:
        """Say that the body has only `num_layers` layers with weights, and `freeze` is larger."""
        return (
            f"train.freeze is {self.freeze}, and the network's body has {num_layers} layers with "
            f"weights; use {num_layers} or fewer, or all"
        )

    @model_validator(mode="after")
    def _unfreezing_fits(self) -> FreezingSettings:
        after, rate = self.unfreeze_after_epochs, self.unfreeze_learning_rate
        if (after is None) != (rate is None):
            raise ValueError(
                f"unfreeze_after_epochs is {after} and unfreeze_learning_rate {rate}; they go "
                "together, so give both, or neither"
            )
        if after is None:
            return self
        if self.freeze == "none":
            raise ValueError(
                f"unfreeze_after_epochs is {after}, but freeze is none; set freeze to all or to a "
                "number of layers, or remove unfreeze_after_epochs and unfreeze_learning_rate"
            )
        if after >= self.epochs:
            raise ValueError(
                f"unfreeze_after_epochs {after} of {self.epochs} epochs leave none in which all "
                "layers are trained; use fewer, or more epochs"
            )
        if self.warmup_epochs >= after:
            raise ValueError(
                f"warmup_epochs {self.warmup_epochs} must be fewer than unfreeze_after_epochs "
                f"{after}: the warm-up is over when all layers are trained"
            )
        if after in self.decay_epochs:
            others = [epoch for epoch in self.decay_epochs if epoch != after]
            raise ValueError(
                f"decay_epochs {list(self.decay_epochs)} contain unfreeze_after_epochs {after}, "
                f"after which the learning rate is unfreeze_learning_rate; use {others}"
            )
        return self
