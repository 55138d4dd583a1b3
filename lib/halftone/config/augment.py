"""Settings of the random augmentation of images."""

from __future__ import annotations

from typing import Literal

from pydantic import Field

from halftone.config.base import ConfigSection


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
