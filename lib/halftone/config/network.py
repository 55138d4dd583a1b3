"""What the settings of all families of networks share: their base class, and values by layer."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Annotated, Any, TypeVar, Union

from pydantic import BeforeValidator, Field, GetJsonSchemaHandler, PlainSerializer
from pydantic.json_schema import JsonSchemaValue
from pydantic_core import CoreSchema

from halftone.config.base import ConfigSection

_Value = TypeVar("_Value")
FAMILY = "family of networks, which decides the other settings of train.model"
Fraction = Annotated[float, Field(ge=0.0, lt=1.0)]
OutputScale = Annotated[
    float,
    Field(
        gt=0.0,
        description="factor of the input of the output layer; a small one makes high learning "
        "rates stable",
    ),
]


def _as_tuple(value: Any) -> Any:
    return tuple(value) if isinstance(value, (list, tuple)) else (value,)


def _unwrap_single(values: tuple[_Value, ...]) -> Union[_Value, list[_Value]]:
    return values[0] if len(values) == 1 else list(values)


class _OneOrListSchema:
    """The JSON Schema of a value, or of a list of such values."""

    def __get_pydantic_json_schema__(
        self, core_schema: CoreSchema, handler: GetJsonSchemaHandler
    ) -> JsonSchemaValue:
        values = handler(core_schema)["items"]
        return {"anyOf": [values, {"type": "array", "items": values, "minItems": 1}]}


# One value for all layers, a scalar in YAML and JSON, or a list with one value per layer.
OneOrPerLayer = Annotated[
    tuple[_Value, ...],
    BeforeValidator(_as_tuple),
    PlainSerializer(_unwrap_single, when_used="json"),
    Field(min_length=1),
    _OneOrListSchema(),
]


class NetworkSettings(ConfigSection):
    """The settings of a network; each family has a class, told apart by the field `name`."""

    def check_image_size(self, height_px: int, width_px: int) -> None:
        """Check that the network can take images of this size; most take any.

        Raises:
            ConfigError: images of this size are too small for the network.
        """


def check_count(name: str, values: Sequence[Any], count: int, layers: str) -> None:
    """Check that a setting has one value, or one per layer.

    Raises:
        ValueError: it has another number of values.
    """
    if len(values) not in (1, count):
        valid_counts = " or ".join(str(number) for number in sorted({1, count} - {0}))
        raise ValueError(
            f"{name} has {len(values)} values for {count} {layers}; give {valid_counts}"
        )
