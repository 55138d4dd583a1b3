"""Heat maps over pictures: what in an image speaks for the prediction, and in which part of it."""

from __future__ import annotations

import io
from collections.abc import Mapping
from typing import NamedTuple, Optional

import matplotlib
import numpy as np
import numpy.typing as npt
from PIL import Image

from halftone.report import plots

# Can be told apart by colour-blind people, and gets brighter with the value.
_COLOURS = "viridis"
_LEVELS = 32
_MAX_OPACITY = 0.75  # of the largest value; it falls with the value, so that 0 shows the picture
# The longer side of an overlay. The browser enlarges it smoothly to the size of the picture.
_SIDE_PX = 48
_ROWS, _COLUMNS = ("upper", "middle", "lower"), ("left", "centre", "right")
_PLACES = {
    ("middle", "centre"): "in the middle",
    ("middle", "left"): "on the left",
    ("middle", "right"): "on the right",
    ("upper", "centre"): "at the top",
    ("lower", "centre"): "at the bottom",
}
# A ninth of the picture that has less of the map's sum is no place to name; 1/9 is evenly spread.
_MIN_SHARE = 1 / 6

HeatMap = npt.NDArray[np.float32]  # (height, width), values >= 0


class HeatMaps(NamedTuple):
    """Heat maps by the key of the image, for the predicted class."""

    maps: Mapping[str, HeatMap]
    problem: str = ""  # why there are none, in one line


class HeatOverlay(NamedTuple):
    """A picture that is laid over another one, and what it says."""

    uri: str
    place: str  # such as "mostly in the upper left"


def embed_heat_map(values: HeatMap, height_px: int, width_px: int) -> Optional[HeatOverlay]:
    """Draw a heat map for a picture of this size; None if all values are 0.

    Values are shown relative to the largest one. They are interpolated linearly between the centres
    of the map's places, which are taken as evenly spread over the picture.
    """
    highest = float(values.max(initial=0.0))
    if not highest:
        return None
    scale = _SIDE_PX / max(height_px, width_px)
    size = (max(1, round(width_px * scale)), max(1, round(height_px * scale)))
    shown = _resize(values / np.float32(highest), *size)
    levels = np.rint(np.clip(shown, 0, 1) * (_LEVELS - 1)).astype(np.uint8)
    image = Image.fromarray(levels)
    shares = np.linspace(0, 1, _LEVELS)
    colours = np.rint(matplotlib.colormaps[_COLOURS](shares)[:, :3] * 255).astype(np.uint8)
    image.putpalette(colours.tobytes())  # its grey levels are now numbers of colours
    opacities = np.rint(shares * _MAX_OPACITY * 255).astype(np.uint8)
    data = io.BytesIO()
    image.save(data, "PNG", transparency=opacities.tobytes())
    return HeatOverlay(plots.data_uri("image/png", data.getvalue()), describe_place(values))


def describe_place(values: HeatMap) -> str:
    """Return which ninth of the picture has most of the map's sum."""
    # A map may have any number of rows and columns.
    thirds = _resize(values, 48, 48).reshape(3, 16, 3, 16).sum(axis=(1, 3))
    row, column = np.unravel_index(int(thirds.argmax()), thirds.shape)
    if thirds[row, column] < _MIN_SHARE * thirds.sum():
        return "all over the picture"
    names = _ROWS[row], _COLUMNS[column]
    return f"mostly {_PLACES.get(names, f'in the {names[0]} {names[1]}')}"


def _resize(values: HeatMap, width: int, height: int) -> HeatMap:
    image = Image.fromarray(np.ascontiguousarray(values, np.float32))
    return np.asarray(image.resize((width, height), Image.Resampling.BILINEAR), np.float32)
