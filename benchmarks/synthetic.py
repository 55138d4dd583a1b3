"""Write synthetic datasets, in the format of preprocess.

Without images of the caller, the pixels are noise. The content of a row of raw pixels does not
matter to a feed; its number of bytes does.
"""

from __future__ import annotations

from datetime import datetime, timezone
from functools import partial
from pathlib import Path
from typing import Callable

import numpy as np
import pyarrow as pa

import halftone
from halftone import arrow, storage
from halftone.config import PixelSpec, PreprocessSettings, SplitSettings
from halftone.dataset import manifest, pixel_statistics, schema
from halftone.dataset.manifest import Manifest
from halftone.dataset.shard_files import ShardFile
from halftone.dataset.splits import SPLITS, TRAIN
from halftone.images import encode_pixels

Shape = tuple[int, int, int]  # height, width, channels

LABELS = ["one", "two"]
_SEED = 7
_SHARD_BYTES = 16 * 2**20
_IMAGES = "/drawn"  # the folder of the images, which do not exist


def write_dataset(folder: Path, count: int, shape: Shape) -> int:
    """Write a dataset of noise to `folder`; return its number of shards.

    All rows are in the train split.
    """
    height_px, width_px, channels = shape
    pixels = PixelSpec(height_px=height_px, width_px=width_px, channels=channels)
    return write_images(folder, count, pixels, partial(_draw_noise, shape))


def write_images(
    folder: Path, count: int, pixels: PixelSpec, draw: Callable[[np.ndarray], np.ndarray]
) -> int:
    """Write a dataset of given images to `folder`; return its number of shards.

    All rows are in the train split.

    Args:
        draw: returns the pixels of some rows, (rows, height, width, channels) uint8.
    """
    size = max(1, min(_SHARD_BYTES // pixels.image_bytes, count // PreprocessSettings().min_shards))
    parts = (np.arange(start, min(start + size, count)) for start in range(0, count, size))
    files = [
        _write_shard(folder, number, rows, draw(rows), pixels) for number, rows in enumerate(parts)
    ]
    manifest.publish_manifest(str(folder), _manifest(count, pixels, files))
    return len(files)


def _draw_noise(shape: Shape, rows: np.ndarray) -> np.ndarray:
    rng = np.random.default_rng([_SEED, int(rows[0])])
    return rng.integers(0, 256, (len(rows), *shape), np.uint8)


def _write_shard(
    folder: Path, number: int, rows: np.ndarray, drawn: np.ndarray, pixels: PixelSpec
) -> ShardFile:
    label_ids = rows % len(LABELS)
    columns = {
        schema.KEY: arrow.string_array([f"{_IMAGES}/{row:08d}.jpg" for row in rows]),
        schema.LABEL: arrow.string_array([LABELS[label_id] for label_id in label_ids]),
        schema.LABEL_ID: arrow.number_array(label_ids, pa.int32()),
        schema.IMAGE: arrow.binary_array([encode_pixels(image, pixels) for image in drawn]),
        schema.SOURCE_DIGEST: arrow.binary_array([int(row).to_bytes(16, "little") for row in rows]),
    }
    arrays = [
        columns[field.name] if field.name in columns else arrow.number_array(rows, field.type)
        for field in schema.ROWS
    ]
    table = pa.table(arrays, schema=schema.rows_with_shape(pixels))
    path = f"{TRAIN}/drawn-{number:05d}.parquet"
    size_bytes = storage.write_table(str(folder / path), table)
    sums, square_sums = pixel_statistics.channel_sums(drawn.reshape(len(rows), -1), pixels.channels)
    digest = f"drawn-{number}"
    return ShardFile(
        path=path,
        split=TRAIN,
        rows=len(rows),
        size_bytes=size_bytes,
        digest=digest,
        sums=sums,
        square_sums=square_sums,
    )


def _manifest(count: int, pixels: PixelSpec, files: list[ShardFile]) -> Manifest:
    counts = {split: dict.fromkeys(LABELS, 0) for split in SPLITS}
    for number, label in enumerate(LABELS):
        counts[TRAIN][label] = len(range(number, count, len(LABELS)))
    height_px, width_px, channels = pixels.shape
    return Manifest(
        schema_version=schema.SCHEMA_VERSION,
        halftone_version=halftone.__version__,
        created=datetime.now(timezone.utc).isoformat(timespec="seconds"),
        seed=_SEED,
        pixels=pixels,
        splits=SplitSettings(validation_fraction=0.0, test_fraction=0.0),
        preprocess=PreprocessSettings(),
        images=_IMAGES,
        labels=LABELS,
        inputs=count,
        rows=count,
        rejects=0,
        duplicates=0,
        ignored={},
        rejects_by_reason={},
        counts=counts,
        version=1,
        gone=0,
        fingerprint=f"drawn-{count}-{height_px}x{width_px}x{channels}",
        files=files,
        rejects_files=[],
        duplicates_files=[],
        near_duplicates=0,
        near_duplicates_files=[],
        contact_sheet="",
    )
