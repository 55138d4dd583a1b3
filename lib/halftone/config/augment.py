"""Settings of the random augmentation of images."""

from __future__ import annotations

from typing import Literal

from pydantic import Field, model_validator

from halftone.config.base import ConfigError, ConfigSection


class AugmentSettings(ConfigSection):
    """Random augmentation of the images in training; each limit applies in both directions."""

    flip: Literal["none", "horizontal", "vertical", "both", "alternating"] = Field(
        "none",
        description="directions in which images are flipped at random; alternating: each image is "
        "flipped horizontally in every second epoch, and its pixels decide in which ones",
    )
    shift_fraction: float = Field(
        0.0,
        ge=0.0,
        le=0.5,
        description="largest shift, as a fraction of each side; shifts are by whole pixels",
    )
    crop_padding_px: int = Field(
        0,
        ge=0,
        description="pad by reflection on all sides and crop at a random place: shifts by whole "
        "pixels, up to this many",
    )
    rotate_degrees: float = Field(0.0, ge=0.0, le=180.0, description="largest rotation")
    zoom_fraction: float = Field(
        0.0,
        ge=0.0,
        le=0.9,
        description="largest zoom in or out, as a fraction of the visible side",
    )
    brightness_fraction: float = Field(
        0.0, ge=0.0, le=1.0, description="largest change of brightness, of the full range"
    )
    contrast_fraction: float = Field(0.0, ge=0.0, le=1.0, description="largest change of contrast")

    @model_validator(mode="after")
    def _is_shifted_once(self) -> AugmentSettings:
        if self.shift_fraction and self.crop_padding_px:
            raise ValueError(
                f"shift_fraction is {self.shift_fraction:g} and crop_padding_px is "
                f"{self.crop_padding_px}, and both shift the images; use one of them"
            )
        return self

    def check_images(self, height_px: int, width_px: int, channels: int) -> None:
        """Check that images of this shape can be augmented.

        Raises:
            ConfigError: a setting does not fit them.
        """
        if self.crop_padding_px >= min(height_px, width_px):
            raise ConfigError(
                f"train.augment.crop_padding_px is {self.crop_padding_px}, but images are "
                f"{height_px}x{width_px} px, and the reflected padding must be smaller than each "
                f"side; use at most {min(height_px, width_px) - 1}"
            )
