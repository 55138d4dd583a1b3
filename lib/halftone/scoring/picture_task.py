"""Decodes selected raw images for the page, and computes their heat maps.

Runs in Spark's Python workers.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from contextlib import suppress
from typing import Any, Optional

import numpy as np
import numpy.typing as npt
import pyarrow as pa
from PIL import Image

from halftone import archives, arrow, images
from halftone.config import PixelSpec
from halftone.dataset import schema
from halftone.image_boxes import split_box
from halftone.preprocess.read_ahead import MAX_FILE_BYTES
from halftone.scoring import heat_map_task
from halftone.scoring.heat_map_task import CLASS_ID, Map
from halftone.scoring.predict import PredictorSettings

_DECODED_AT_ONCE = 16
IS_EXPLAINED, SIDE_PX = "is_explained", "side_px"
# Images to show.
WANTED = pa.schema(
    [
        pa.field(schema.KEY, pa.string()),
        pa.field(CLASS_ID, pa.int32()),  # the prediction
        pa.field(IS_EXPLAINED, pa.bool_()),  # whether a heat map is wanted
        pa.field(SIDE_PX, pa.int32()),  # the longer side of a picture that is larger
    ]
)
# What can be shown of them.
PICTURES = pa.schema(
    [
        pa.field(schema.KEY, pa.string()),
        pa.field("height_px", pa.int32()),
        pa.field("width_px", pa.int32()),
        pa.field("pixels", pa.binary()),  # (height_px, width_px, channels); empty if it is gone
        pa.field("map_height", pa.int32()),
        pa.field("map_width", pa.int32()),
        pa.field("map", pa.binary()),  # (map_height, map_width) float32; empty if there is none
        pa.field("problem", pa.string()),  # why there is no heat map, or ""
    ]
)

Pixels = npt.NDArray[np.uint8]


def draw_pictures(
    predictor: PredictorSettings, spec: PixelSpec, tables: Iterable[pa.Table]
) -> Iterator[pa.Table]:
    """Yield PICTURES for tables of WANTED.

    Args:
        spec: how images are decoded for the model.
    """
    for table in tables:
        wanted = list(arrow.iter_rows(table, *WANTED.names))
        decoded = _decode([key for key, *_ in wanted], spec)
        maps, problem = _explain(predictor, wanted, decoded)
        rows = []
        for (key, _, _, side_px), pixels in zip(wanted, decoded):
            shown = np.empty((0, 0, 1), np.uint8) if pixels is None else _reduce(pixels, side_px)
            values = maps.get(key, np.empty((0, 0), np.float32))
            rows.append(
                (key, *shown.shape[:2], shown.tobytes(), *values.shape, values.tobytes(), problem)
            )
        columns = [
            arrow.make_array(column, field.type) for column, field in zip(zip(*rows), PICTURES)
        ]
        yield pa.table(columns, schema=PICTURES)


def _decode(keys: Sequence[str], spec: PixelSpec) -> list[Optional[Pixels]]:
    """Decode images; None for one that is gone or has changed since it was scored."""
    pixels: list[Optional[Pixels]] = []
    for start in range(0, len(keys), _DECODED_AT_ONCE):
        places = [split_box(key) for key in keys[start : start + _DECODED_AT_ONCE]]
        contents = archives.read_images([url for url, _ in places], MAX_FILE_BYTES)
        for data, (_, box) in zip(contents, places):
            pixels.append(None)
            if not isinstance(data, OSError):
                with suppress(images.ImageRejectedError):
                    pixels[-1] = images.decode(data, spec, box).pixels
    return pixels


def _explain(
    predictor: PredictorSettings, wanted: list[Any], decoded: list[Optional[Pixels]]
) -> tuple[dict[str, Map], str]:
    """Return heat maps by key, and why there are none."""
    explained = [
        (key, class_id, pixels)
        for (key, class_id, is_explained, _), pixels in zip(wanted, decoded)
        if is_explained and pixels is not None
    ]
    if not explained:
        return {}, ""
    keys, class_ids, pixels = zip(*explained)
    maps, problem = heat_map_task.explain_images(predictor, np.stack(pixels), class_ids)
    return dict(zip(keys, maps)), problem


def _reduce(pixels: Pixels, side_px: int) -> Pixels:
    if max(pixels.shape) <= side_px:
        return pixels
    image = Image.fromarray(pixels[:, :, 0] if pixels.shape[2] == 1 else pixels)
    image.thumbnail((side_px, side_px))
    return np.asarray(image).reshape(image.height, image.width, pixels.shape[2])
