"""Settings of networks that the user's own code builds."""

from __future__ import annotations

from typing import Any, Literal

from pydantic import Field, model_validator

from halftone.config.network import FAMILY, NetworkSettings

# The arguments that a function gets besides those of the setting `args`.
GIVEN_ARGUMENTS = ("input_shape", "num_classes")


class Custom(NetworkSettings):
    """A network of the user's own: a function returns it as a Keras model."""

    name: Literal["custom"] = Field("custom", description=FAMILY)
    build: str = Field(
        pattern=r"^[A-Za-z_]\w*(\.[A-Za-z_]\w*)*:[A-Za-z_]\w*$",
        description="package.module:function, called as function(input_shape=(height, width, "
        "channels), num_classes=..., **args); it returns a Keras model from normalised pixels",
    )
    args: dict[str, Any] = Field(
        default_factory=dict, description="more arguments of the function, by name"
    )
    output: Literal["probabilities", "logits"] = Field(
        "probabilities",
        description="what the model returns: one value per class, or for two classes only that "
        "of the second class",
    )

    @model_validator(mode="after")
    def _arguments_are_given_once(self) -> Custom:
        given = sorted({*self.args} & {*GIVEN_ARGUMENTS})
        if given:
            raise ValueError(
                f"args has {', '.join(given)}, which the dataset determines; remove it from args"
            )
        return self

    @property
    def module(self) -> str:
        """The name of the module with the function."""
        return self.build.partition(":")[0]
