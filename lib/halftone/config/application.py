"""Settings of the networks of keras.applications."""

from __future__ import annotations

import difflib
from typing import Annotated, Literal

from pydantic import Field, PositiveInt, WithJsonSchema, field_validator

from halftone.config.base import ConfigError, ConfigSection
from halftone.config.network import FAMILY, Fraction, NetworkSettings

_REGNET_SIZES = ("002", "004", "006", "008", "016", "032", "040", "064", "080", "120", "160", "320")
# The functions of keras.applications that build a network.
ARCHITECTURES = (
    *(f"ConvNeXt{size}" for size in ("Tiny", "Small", "Base", "Large", "XLarge")),
    *(f"DenseNet{layers}" for layers in (121, 169, 201)),
    *(f"EfficientNetB{number}" for number in range(8)),
    *(f"EfficientNetV2{size}" for size in ("B0", "B1", "B2", "B3", "S", "M", "L")),
    *("InceptionResNetV2", "InceptionV3"),
    *("MobileNet", "MobileNetV2", "MobileNetV3Large", "MobileNetV3Small"),
    *("NASNetLarge", "NASNetMobile"),
    *(f"RegNet{kind}{size}" for kind in "XY" for size in _REGNET_SIZES),
    *(f"ResNet{layers}{version}" for layers in (50, 101, 152) for version in ("", "V2")),
    *(f"ResNetRS{layers}" for layers in (50, 101, 152, 200, 270, 350, 420)),
    *("VGG16", "VGG19", "Xception"),
)
_SMALLEST_SIDE_PX = 32
# Those that need more.
_SMALLEST_SIDES_PX = {"InceptionResNetV2": 75, "InceptionV3": 75, "Xception": 71}
NO_WEIGHTS = "none"


class Head(ConfigSection):
    """The layers between the feature maps and the output layer."""

    pooling: Literal["average", "max"] = Field("average", description="of each feature map")
    dense: tuple[PositiveInt, ...] = Field((), description="units of each dense layer")
    dropout: Fraction = Field(
        0.0, description="dropout rate after the pooling and after every dense layer"
    )


class Application(NetworkSettings):
    """A network of keras.applications, without its own head, and with its own input scaling."""

    name: Literal["application"] = Field("application", description=FAMILY)
    architecture: Annotated[str, WithJsonSchema({"type": "string", "enum": [*ARCHITECTURES]})] = (
        Field(
            description="its name in keras.applications, such as EfficientNetB0, ResNet50V2, "
            "MobileNetV2, DenseNet121 or ConvNeXtTiny"
        )
    )
    weights: str = Field(
        NO_WEIGHTS,
        min_length=1,
        description="none: random; else path or URL of a Keras weights file without the head "
        "(*_notop.h5). Nothing is ever downloaded that is not named here",
    )
    head: Head = Head()

    @field_validator("architecture")
    @classmethod
    def _is_known(cls, architecture: str) -> str:
        if architecture not in ARCHITECTURES:
            matches = difflib.get_close_matches(architecture, ARCHITECTURES, n=1)
            hint = f"did you mean {matches[0]}? " if matches else ""
            raise ValueError(f"not in keras.applications; {hint}it has {', '.join(ARCHITECTURES)}")
        return architecture

    def check_image_size(self, height_px: int, width_px: int) -> None:
        smallest_px = _SMALLEST_SIDES_PX.get(self.architecture, _SMALLEST_SIDE_PX)
        if min(height_px, width_px) < smallest_px:
            raise ConfigError(
                f"images of {height_px}x{width_px} px are too small for train.model.architecture "
                f"{self.architecture}, which needs {smallest_px} px; preprocess to a larger size, "
                "or use train.model.name residual"
            )
