"""Computes heat maps of images with the network that the worker has loaded.

Runs in Spark's Python workers.
"""

from __future__ import annotations

import traceback
from collections.abc import Iterable, Iterator, Sequence
from typing import NamedTuple

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from halftone import arrow
from halftone.dataset import schema
from halftone.scoring import predict
from halftone.scoring.predict import PredictorSettings

CLASS_ID = "class_id"
# Images to explain.
EXPLAINED = pa.schema(
    [
        pa.field(schema.KEY, pa.string()),
        pa.field(CLASS_ID, pa.int32()),  # the class that is explained
        pa.field(schema.IMAGE, pa.binary()),  # (height, width, channels) uint8
    ]
)
# Their heat maps.
HEAT_MAPS = pa.schema(
    [
        pa.field(schema.KEY, pa.string()),
        pa.field("height", pa.int32()),
        pa.field("width", pa.int32()),
        pa.field("values", pa.binary()),  # (height, width) float32; empty if there is no map
        pa.field("problem", pa.string()),  # why there is none, or ""
    ]
)
NO_FEATURE_MAPS = "the network has no convolution, and so no feature maps"
_BATCH_SIZE = 32  # layers are called one by one, and an output is kept until the next one is done
# Values in a row or column of a map; more could not be seen in the report.
_MAX_SIDE = 64

Map = npt.NDArray[np.float32]  # (height, width)


class Explanations(NamedTuple):
    """Heat maps of images, or why there are none."""

    maps: list[Map]
    problem: str = ""


def explain_rows(predictor: PredictorSettings, tables: Iterable[pa.Table]) -> Iterator[pa.Table]:
    """Yield HEAT_MAPS for tables of EXPLAINED."""
    for table in tables:
        keys, class_ids = table[schema.KEY].to_pylist(), table[CLASS_ID].to_pylist()
        pixels = np.stack(
            [
                np.frombuffer(data, np.uint8).reshape(predictor.shape)
                for data in table[schema.IMAGE].to_pylist()
            ]
        )
        found = explain_images(predictor, pixels, class_ids)
        maps = found.maps or [np.empty((0, 0), np.float32)] * len(keys)
        columns = [
            table[schema.KEY].combine_chunks(),
            arrow.number_array([each.shape[0] for each in maps], pa.int32()),
            arrow.number_array([each.shape[1] for each in maps], pa.int32()),
            arrow.binary_array([each.tobytes() for each in maps]),
            arrow.string_array([found.problem] * len(keys)),
        ]
        yield pa.table(columns, schema=HEAT_MAPS)


def explain_images(
    predictor: PredictorSettings, images: npt.NDArray[np.uint8], class_ids: Sequence[int]
) -> Explanations:
    """Compute the heat map of each image; see `models.grad_cam`.

    A network of the user's own may do what cannot be explained. The scores do not depend on heat
    maps, so no error ends the scoring: it is returned, and the report shows it.

    Args:
        images: (N, height, width, channels) uint8, one or more.
        class_ids: N, the class of each image to explain.
    """
    try:
        network = predict.load_model(predictor.network, predictor.threads)
        from halftone.models.grad_cam import GradCam  # imports TensorFlow

        explainer = GradCam(network)
        if not explainer.has_feature_maps:
            return Explanations([], NO_FEATURE_MAPS)
        batch_size = min(_BATCH_SIZE, predictor.batch_size)
        maps: list[Map] = []
        for start in range(0, len(images), batch_size):
            end = start + batch_size
            maps += map(reduce_map, explainer.compute_maps(images[start:end], class_ids[start:end]))
    except Exception as error:  # also of the user's layers
        traceback.print_exc()  # into the log of the executor
        return Explanations([], f"{type(error).__name__}: {' '.join(str(error).split())[:200]}")
    if not all(np.isfinite(each).all() for each in maps):
        return Explanations([], "the network's gradients are not finite numbers")
    return Explanations(maps)


def reduce_map(values: Map) -> Map:
    """Return the means of blocks of a map with more than _MAX_SIDE rows or columns."""
    block = -(-max(values.shape) // _MAX_SIDE)
    if block == 1:
        return values
    # Blocks at the right and lower edge may be smaller.
    rows, columns = (np.arange(0, size, block) for size in values.shape)
    sums = np.add.reduceat(np.add.reduceat(values, rows, axis=0), columns, axis=1)
    counts = np.outer(
        *(np.diff(np.append(starts, size)) for starts, size in zip((rows, columns), values.shape))
    )
    return np.asarray(sums / counts, np.float32)
