"""The results of decoding an image: pixels, or the reason why the image is rejected."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from halftone.config import PixelSpec
from halftone.image_boxes import ImageBox

PixelArray = npt.NDArray[np.uint8]  # (H, W, C), C-contiguous unless documented otherwise

REJECT_REASONS: tuple[str, ...] = (
    "empty",
    "not_an_image",
    "truncated",
    "damaged",
    "too_large",
    "too_small",
    "box_outside",
    "unsupported",
)
MAX_DETAIL_CHARS = 160


def check_size(spec: PixelSpec, width_px: int, height_px: int) -> None:
    """Raise ImageRejectedError for a source image whose size is outside the limits of `spec`."""
    if width_px < 1 or height_px < 1:
        raise ImageRejectedError("damaged", f"header claims {width_px} x {height_px} px")
    if width_px * height_px > spec.max_pixels:
        raise ImageRejectedError(
            "too_large",
            f"{width_px} x {height_px} = {width_px * height_px:,} pixels, "
            f"max_pixels is {spec.max_pixels:,}",
        )
    if min(width_px, height_px) < spec.min_side_px:
        raise ImageRejectedError(
            "too_small", f"{width_px} x {height_px} px, min_side_px is {spec.min_side_px}"
        )


def check_box(spec: PixelSpec, box: ImageBox, width_px: int, height_px: int) -> None:
    """Raise ImageRejectedError for a box that is not within an upright image, or too small."""
    right_px, bottom_px = box.x + box.width, box.y + box.height
    if right_px > width_px or bottom_px > height_px:
        raise ImageRejectedError(
            "box_outside",
            f"the box ends at {right_px} x {bottom_px} px, the image has {width_px} x {height_px}",
        )
    if min(box.width, box.height) < spec.min_side_px:
        raise ImageRejectedError(
            "too_small",
            f"box of {box.width} x {box.height} px, min_side_px is {spec.min_side_px}",
        )


class DecodedImage(NamedTuple):
    """A decoded image, ready for a row of a dataset or a batch of a model."""

    pixels: PixelArray  # (height_px, width_px, channels) uint8, C-contiguous
    source_height_px: int  # as displayed, after the EXIF rotation
    source_width_px: int
    format: str  # jpeg, png, webp, bmp, tiff, gif, pnm, jpeg2000, heic, avif, jxl or dicom


class ImageRejectedError(Exception):
    """The image cannot be used.

    Attributes:
        reason: one of REJECT_REASONS.
        detail: one line, with numbers.
    """

    def __init__(self, reason: str, detail: str) -> None:
        detail = " ".join(detail.split())[:MAX_DETAIL_CHARS]
        super().__init__(f"{reason}: {detail}")
        self.reason = reason
        self.detail = detail

    def __reduce__(self) -> tuple[type[ImageRejectedError], tuple[str, str]]:
        return ImageRejectedError, (self.reason, self.detail)
