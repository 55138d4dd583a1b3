"""The pictures on the page: what was taken for what, what was rejected, and the contact sheet."""

from __future__ import annotations

import io
from collections.abc import Iterable, Sequence
from typing import Any, NamedTuple, Optional

import numpy as np
import numpy.typing as npt
from PIL import Image

from halftone.metrics.examples import Example
from halftone.report import plots
from halftone.report.words import below

_SHOWN_PX = 128  # the longer side of a picture on the page, in CSS pixels
# A larger picture is reduced: to what is sharp on a dense screen, and further where there are many.
_MOST_PX, _LEAST_PX = 192, 48
_PIXELS_BYTES = 1_200_000  # of all pictures together, before compression
_SHEET_BYTES = 768 * 1024
_SHEET_QUALITY = 75

Pixels = npt.NDArray[np.uint8]  # (H, W, C) uint8, C 1 (grey) or 3 (RGB)


class Reject(NamedTuple):
    """An image that did not become a row."""

    path: str
    reason: str
    detail: str
    pixels: Optional[Pixels]  # where something can be shown


class Shown(NamedTuple):
    """A picture and its size in CSS pixels; enlarged, its own pixels stay square and whole."""

    uri: str
    width_px: int
    height_px: int
    enlarged: bool


def scored(examples: Sequence[Example], folder: str, kept_px: int) -> list[dict[str, Any]]:
    """In the order given, each with its path below the folder of images."""
    return [
        {
            "label": example.label,
            "prediction": example.prediction,
            "probability": example.probability,
            "margin": example.margin,
            "path": below(example.key, folder),
            "shown": show(example.pixels, kept_px),
        }
        for example in examples
    ]


def rejected(rejects: Iterable[Reject], folder: str, kept_px: int) -> list[dict[str, Any]]:
    """By reason and path, those that can be shown with their picture."""
    return [
        {
            "path": below(reject.path, folder),
            "reason": reject.reason,
            "detail": reject.detail,
            "shown": None if reject.pixels is None else show(reject.pixels, kept_px),
        }
        for reject in sorted(rejects, key=lambda reject: (reject.reason, reject.path))
    ]


def kept_px(pixels: Sequence[Pixels]) -> int:
    """The longer side that pictures are kept with, so that all of them fit on a small page."""
    channels = sum(each.shape[2] for each in pixels)
    side_px = (_PIXELS_BYTES / max(1, channels)) ** 0.5
    return int(min(_MOST_PX, max(_LEAST_PX, side_px)))


def show(pixels: Pixels, kept_px: int) -> Shown:
    """Make a PNG of a picture, shown at a whole multiple of its size if small."""
    height, width = pixels.shape[:2]
    scale = _SHOWN_PX / max(height, width)
    scale = int(scale) if scale >= 1 else scale
    image = Image.fromarray(pixels[:, :, 0] if pixels.shape[2] == 1 else pixels)
    if max(height, width) > kept_px:
        image.thumbnail((kept_px, kept_px))
    data = io.BytesIO()
    image.save(data, "PNG")
    return Shown(
        plots.data_uri("image/png", data.getvalue()),
        max(1, round(width * scale)),
        max(1, round(height * scale)),
        scale > 1 and max(height, width) <= kept_px,
    )


def sheet(png: Optional[bytes]) -> Optional[Shown]:
    """A contact sheet as a JPEG, some five times smaller; None where it is still too large."""
    if png is None:
        return None
    image = Image.open(io.BytesIO(png)).convert("RGB")
    data = io.BytesIO()
    image.save(data, "JPEG", quality=_SHEET_QUALITY, optimize=True)
    if data.tell() > _SHEET_BYTES:
        return None
    return Shown(plots.data_uri("image/jpeg", data.getvalue()), image.width, image.height, False)
