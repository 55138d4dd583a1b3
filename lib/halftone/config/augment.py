"""Settings of the random augmentation of images."""

from __future__ import annotations

from typing import Any, Literal, Optional

from pydantic import Field, field_validator, model_validator

from halftone.config.base import ConfigError, ConfigSection

# With less, both numbers whose quotient has a beta distribution are too small for a computer.
_MIN_ALPHA = 0.01


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
    random_resized_crop_min_area: Optional[float] = Field(
        None,
        gt=0.0,
        le=1.0,
        description="least area, as a fraction of the image, of a part at a random place that is "
        "resized to the network's input, and is 3/4 to 4/3 as wide as high; 0.08 is common",
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
    hue_fraction: float = Field(
        0.0,
        ge=0.0,
        le=0.5,
        description="largest change of the hue, as a fraction of the colour circle; needs 3 "
        "channels",
    )
    saturation_fraction: float = Field(
        0.0,
        ge=0.0,
        le=1.0,
        description="largest change of the saturation, as a fraction; needs 3 channels",
    )
    cutout_px: int = Field(
        0,
        ge=0,
        description="side of a square at a random place, clipped at the edges, that is set to the "
        "mean of the train split",
    )
    erase_probability: float = Field(
        0.0,
        ge=0.0,
        le=1.0,
        description="probability that a random rectangle is set to random values: 2 to 33 % of the "
        "image",
    )
    mixup_alpha: float = Field(
        0.0,
        ge=0.0,
        le=100.0,
        description="above 0: each image and its label are blended with another row of the batch, "
        "with a share from Beta(alpha, alpha)",
    )
    cutmix_alpha: float = Field(
        0.0,
        ge=0.0,
        le=100.0,
        description="above 0: a box of each image is that of another row of the batch, with a part "
        "of the area from Beta(alpha, alpha), and the label gets the same part",
    )

    @field_validator("mixup_alpha", "cutmix_alpha")
    @classmethod
    def _can_be_drawn(cls, alpha: float) -> float:
        if 0 < alpha < _MIN_ALPHA:
            raise ValueError(f"must be 0 or at least {_MIN_ALPHA}")
        return alpha

    @property
    def mixes_rows(self) -> bool:
        """Whether images are mixed with others of their batch, and labels with them."""
        return self.mixup_alpha > 0 or self.cutmix_alpha > 0

    def image_settings(self) -> dict[str, Any]:
        """Return the settings that change single images, and no labels."""
        return self.model_dump(exclude={"mixup_alpha", "cutmix_alpha"})

    @model_validator(mode="after")
    def _is_shifted_once(self) -> AugmentSettings:
        if self.shift_fraction and self.crop_padding_px:
            raise ValueError(
                f"shift_fraction is {self.shift_fraction:g} and crop_padding_px is "
                f"{self.crop_padding_px}, and both shift the images; use one of them"
            )
        shifts = {
            name: getattr(self, name)
            for name in ("shift_fraction", "crop_padding_px", "zoom_fraction")
            if getattr(self, name)
        }
        if self.random_resized_crop_min_area is not None and shifts:
            name, value = next(iter(shifts.items()))
            raise ValueError(
                f"random_resized_crop_min_area is {self.random_resized_crop_min_area:g} and {name} "
                f"{value:g}, but random parts are shifted and zoomed already; use one of them"
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
        if self.cutout_px > min(height_px, width_px):
            raise ConfigError(
                f"train.augment.cutout_px is {self.cutout_px}, but images are "
                f"{height_px}x{width_px} px; use at most {min(height_px, width_px)}"
            )
        if channels == 1 and (self.hue_fraction or self.saturation_fraction):
            raise ConfigError(
                f"train.augment.hue_fraction is {self.hue_fraction:g} and saturation_fraction "
                f"{self.saturation_fraction:g}, but the images are grey, with 1 channel; use 0 for "
                "both, or preprocess with pixels.channels 3"
            )
