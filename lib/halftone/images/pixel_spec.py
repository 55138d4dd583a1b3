"""What pixels are asked for, what comes back, and why an image is refused."""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

PixelArray = npt.NDArray[np.uint8]  # (H, W, C), C-contiguous unless said otherwise

FIT_MODES = ("stretch", "crop", "pad")
REJECT_REASONS: tuple[str, ...] = (
    "empty",
    "not_an_image",
    "truncated",
    "damaged",
    "too_large",
    "too_small",
    "unsupported",
)
MAX_DETAIL_CHARS = 160


@dataclass(frozen=True)
class PixelSpec:
    """The pixels that `decode` returns, and the limits on what it takes in.

    Raises ValueError where a value has no meaning.
    """

    height_px: int
    width_px: int
    channels: int  # 1: grey, ITU-R 601 luma; 3: red, green, blue
    fit: str = "stretch"  # stretch; crop: centre, to the target's aspect; pad: with background
    background: int = 0  # 0..255, behind alpha and around padded images
    max_pixels: int = 100_000_000  # width x height of the header; above: too_large
    max_scans: int = 100  # scans of a JPEG in many scans; above: too_large
    min_side_px: int = 1  # the shorter side; below: too_small

    def __post_init__(self) -> None:
        if self.height_px < 1 or self.width_px < 1:
            raise ValueError(f"target of {self.width_px} x {self.height_px} px; both must be >= 1")
        if self.channels not in (1, 3):
            raise ValueError(f"channels is {self.channels}; choose 1 (grey) or 3 (colour)")
        if self.fit not in FIT_MODES:
            raise ValueError(f"fit is {self.fit!r}; choose one of {', '.join(FIT_MODES)}")
        if not 0 <= self.background <= 255:
            raise ValueError(f"background is {self.background}; it must be within 0..255")
        for name in ("max_pixels", "max_scans", "min_side_px"):
            if getattr(self, name) < 1:
                raise ValueError(f"{name} is {getattr(self, name)}; it must be >= 1")

    def check_size(self, width_px: int, height_px: int) -> None:
        """Raises Rejected for a source of width_px x height_px outside of the limits."""
        if width_px < 1 or height_px < 1:
            raise ImageRejectedError("damaged", f"header claims {width_px} x {height_px} px")
        if width_px * height_px > self.max_pixels:
            raise ImageRejectedError(
                "too_large",
                f"{width_px} x {height_px} = {width_px * height_px:,} pixels, "
                f"max_pixels is {self.max_pixels:,}",
            )
        if min(width_px, height_px) < self.min_side_px:
            raise ImageRejectedError(
                "too_small", f"{width_px} x {height_px} px, min_side_px is {self.min_side_px}"
            )


class DecodedImage(NamedTuple):
    """One image, ready for a row of a dataset or a batch of a model."""

    pixels: PixelArray  # (height_px, width_px, channels) uint8, C-contiguous
    source_height_px: int  # of the picture as it is looked at, so after its EXIF turn
    source_width_px: int
    format: str  # jpeg, png, webp, bmp, tiff, gif or pnm


class ImageRejectedError(Exception):
    """An image that gives no row: `reason` is one of REASONS, `detail` one line with numbers."""

    def __init__(self, reason: str, detail: str) -> None:
        detail = " ".join(detail.split())[:MAX_DETAIL_CHARS]
        super().__init__(f"{reason}: {detail}")
        self.reason = reason
        self.detail = detail

    def __reduce__(self) -> tuple[type[ImageRejectedError], tuple[str, str]]:
        return ImageRejectedError, (self.reason, self.detail)
