"""Settings of what a training minimises."""

from __future__ import annotations

from typing import Annotated, Any, Literal, Optional, Union

from pydantic import BeforeValidator, Field, WithJsonSchema, model_validator

from halftone.config.base import ConfigSection


def _check_class_weights(value: Any) -> Any:
    if isinstance(value, dict):
        wrong = {
            label: weight
            for label, weight in value.items()
            if isinstance(weight, bool) or not isinstance(weight, (int, float)) or not weight > 0
        }
        if wrong or not value:
            raise ValueError(
                "must be none, balanced or {label: weight} with weights above 0"
                + "".join(f"; that of {label} is {weight}" for label, weight in wrong.items())
            )
    elif value not in ("none", "balanced"):
        raise ValueError("must be none, balanced or {label: weight}, such as {cat: 2, dog: 0.5}")
    return value


ClassWeights = Annotated[
    Union[Literal["none", "balanced"], dict[str, float]],
    BeforeValidator(_check_class_weights),
    WithJsonSchema(
        {
            "anyOf": [
                {"enum": ["none", "balanced"]},
                {
                    "type": "object",
                    "additionalProperties": {"type": "number", "exclusiveMinimum": 0},
                    "minProperties": 1,
                },
            ]
        }
    ),
]


class ObjectiveSettings(ConfigSection):
    """The loss of a row. Metrics are those of the labels, whatever the loss."""

    loss: Literal["cross_entropy", "focal"] = Field(
        "cross_entropy",
        description="focal: rows that the network is sure of weigh less, see focal_gamma",
    )
    focal_gamma: float = Field(
        2.0,
        gt=0.0,
        le=10.0,
        description="for loss focal: cross-entropy is times (1 - probability) to this power",
    )
    label_smoothing: float = Field(
        0.0,
        ge=0.0,
        lt=1.0,
        description="part of a label's weight in the loss that all classes share equally",
    )
    class_weights: ClassWeights = Field(
        "none",
        description="weight of a row in the loss, by its label. balanced: rows / (classes x rows "
        "of the class), of the train split; {label: weight}: 1 for other labels. Metrics are "
        "unweighted",
    )
    sampling: Literal["natural", "balanced"] = Field(
        "natural",
        description="balanced: an epoch draws as many rows as the train split has, of each class "
        "the same number, by leaving out rows of large classes and repeating those of small ones",
    )
    average_weights: Optional[float] = Field(
        None,
        gt=0.0,
        lt=1.0,
        description="the model is a moving average of the weights, of which each update keeps this "
        "part: 0.999 averages about 1,000 updates. The average is validated and published",
    )
    best_by: Literal["val_loss", "val_accuracy", "val_f1", "val_auc"] = Field(
        "val_loss",
        description="the metric whose best epoch gives the model; patience and decay plateau "
        "follow it too. Of epochs with an equal one, that with the lowest val_loss is better",
    )

    @model_validator(mode="after")
    def _classes_are_balanced_once(self) -> ObjectiveSettings:
        if self.sampling == "balanced" and self.class_weights == "balanced":
            raise ValueError(
                "sampling balanced and class_weights balanced would balance the classes twice; use "
                "one of them"
            )
        return self
