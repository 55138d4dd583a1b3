"""The images on the page: examples, rejects and the contact sheet."""

from __future__ import annotations

import io
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, NamedTuple, Optional, Union

import numpy as np
import numpy.typing as npt
from PIL import Image

from halftone.metrics.examples import Example
from halftone.report import plots
from halftone.report.heat_maps import HeatMap, embed_heat_map
from halftone.report.words import relative_path

_DISPLAY_SIDE_PX = 128  # the longer side of a picture on the page, in CSS pixels
# Larger pictures are scaled down to what is sharp on a dense screen, or further if there are many.
MAX_SIDE_PX, _MIN_SIDE_PX = 192, 48
_TOTAL_PIXEL_BYTES = 1_200_000  # of all pictures together, uncompressed
_MAX_SHEET_BYTES = 768 * 1024
_SHEET_QUALITY = 75
THUMBNAIL_SIDE_PX = 96  # of the pictures of a class

PicturePixels = npt.NDArray[np.uint8]  # (H, W, C) uint8, C 1 (grey) or 3 (RGB)


class ReportReject(NamedTuple):
    """A rejected image."""

    path: str
    reason: str
    detail: str
    pixels: Optional[PicturePixels]  # None if the image cannot be decoded


class ReportPicture(NamedTuple):
    """A raw image and its prediction; without pixels if its file cannot be read any more."""

    key: str
    label: Optional[str]  # None if it is not known
    prediction: str
    probability: float  # of the prediction
    margin: float  # as in Example
    pixels: Optional[PicturePixels]


class EmbeddedPicture(NamedTuple):
    """A picture and its size in CSS pixels; its pixels stay sharp squares if it is enlarged."""

    uri: str
    width_px: int
    height_px: int
    enlarged: bool


def embed_examples(
    examples: Sequence[Union[Example, ReportPicture]],
    folder: str,
    max_side_px: int,
    maps: Optional[Mapping[str, HeatMap]] = None,
) -> list[dict[str, Any]]:
    """Return examples in the given order, with picture, heat map and path below the folder.

    Args:
        folder: of images.
        maps: heat maps by the key of the image; some or all may be missing.
    """
    maps = maps or {}
    return [
        {
            "label": example.label,
            "prediction": example.prediction,
            "probability": example.probability,
            "margin": example.margin,
            "path": relative_path(example.key, folder),
            "shown": None if example.pixels is None else embed_picture(example.pixels, max_side_px),
            "has_heat_map": example.key in maps,
            "overlay": None
            if example.pixels is None or example.key not in maps
            else embed_heat_map(maps[example.key], *example.pixels.shape[:2]),
        }
        for example in examples
    ]


def embed_sheet(rows: Sequence[ReportPicture], folder: str) -> list[dict[str, Any]]:
    """Return the pictures of a class, small and as JPEG, in the given order."""
    return [
        {
            "prediction": row.prediction,
            "probability": row.probability,
            "path": relative_path(row.key, folder),
            "shown": None if row.pixels is None else _embed_thumbnail(row.pixels),
        }
        for row in rows
    ]


def _embed_thumbnail(pixels: PicturePixels) -> EmbeddedPicture:
    """Encode a picture as JPEG, unless it is so small that a browser enlarges it."""
    if 2 * max(pixels.shape) <= THUMBNAIL_SIDE_PX:
        return embed_picture(pixels, THUMBNAIL_SIDE_PX, THUMBNAIL_SIDE_PX)
    image = Image.fromarray(pixels[:, :, 0] if pixels.shape[2] == 1 else pixels)
    image.thumbnail((THUMBNAIL_SIDE_PX, THUMBNAIL_SIDE_PX))
    data = io.BytesIO()
    image.save(data, "JPEG", quality=_SHEET_QUALITY, optimize=True)
    uri = plots.data_uri("image/jpeg", data.getvalue())
    return EmbeddedPicture(uri, image.width, image.height, False)


def embed_rejects(
    rejects: Iterable[ReportReject], folder: str, max_side_px: int
) -> list[dict[str, Any]]:
    """Return rejects by reason and path, with a picture if they can be shown."""
    return [
        {
            "path": relative_path(reject.path, folder),
            "reason": reject.reason,
            "detail": reject.detail,
            "shown": None if reject.pixels is None else embed_picture(reject.pixels, max_side_px),
        }
        for reject in sorted(rejects, key=lambda reject: (reject.reason, reject.path))
    ]


def choose_max_side_px(pixels: Sequence[PicturePixels]) -> int:
    """Return the longer side to scale pictures to, so that the page stays small."""
    channels = sum(each.shape[2] for each in pixels)
    side_px = (_TOTAL_PIXEL_BYTES / max(1, channels)) ** 0.5
    return int(min(MAX_SIDE_PX, max(_MIN_SIDE_PX, side_px)))


def embed_picture(
    pixels: PicturePixels, max_side_px: int, display_side_px: int = _DISPLAY_SIDE_PX
) -> EmbeddedPicture:
    """Encode a picture as PNG; a small one is shown at a whole multiple of its size."""
    height, width = pixels.shape[:2]
    scale = display_side_px / max(height, width)
    scale = int(scale) if scale >= 1 else scale
    image = Image.fromarray(pixels[:, :, 0] if pixels.shape[2] == 1 else pixels)
    if max(height, width) > max_side_px:
        image.thumbnail((max_side_px, max_side_px))
    data = io.BytesIO()
    image.save(data, "PNG")
    return EmbeddedPicture(
        plots.data_uri("image/png", data.getvalue()),
        max(1, round(width * scale)),
        max(1, round(height * scale)),
        scale > 1 and max(height, width) <= max_side_px,
    )


def embed_contact_sheet(png: Optional[bytes]) -> Optional[EmbeddedPicture]:
    """Encode a contact sheet as JPEG, about a fifth of the PNG; None if it is still too large."""
    if png is None:
        return None
    image = Image.open(io.BytesIO(png)).convert("RGB")
    data = io.BytesIO()
    image.save(data, "JPEG", quality=_SHEET_QUALITY, optimize=True)
    if data.tell() > _MAX_SHEET_BYTES:
        return None
    return EmbeddedPicture(
        plots.data_uri("image/jpeg", data.getvalue()), image.width, image.height, False
    )
