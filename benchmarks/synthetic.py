"""Write synthetic datasets, in the format of preprocess.

The pixels are noise. The content of a row does not matter to a feed; its number of bytes does.
"""

from __future__ import annotations

from datetime import datetime, timezone
from pathlib import Path

import numpy as np
import pyarrow as pa

import halftone
from halftone import arrow, storage
from halftone.config import PixelSpec, PreprocessSettings, SplitSettings
from halftone.dataset import manifest, schema
from halftone.dataset.manifest import Manifest, ShardFile
from halftone.dataset.splits import SPLITS, TRAIN
from halftone.preprocess import shards
from halftone.preprocess.shards import Shard, ShardSource

Shape = tuple[int, int, int]  # height, width, channels

LABELS = ["one", "two"]
_SEED = 7
_IMAGES = "/drawn"  # the folder of the images, which do not exist


def write_dataset(folder: Path, count: int, shape: Shape) -> int:
    """Write a dataset to `folder`, all rows in the train split; return its number of shards."""
    root = str(folder)
    writer = shards.ShardWriter(root, _IMAGES, LABELS, shape[2])
    size = shards.rows_per_shard(
        "auto", int(np.prod(shape)), count, PreprocessSettings().min_shards
    )
    files = []
    for number, start in enumerate(range(0, count, size)):
        rows = np.arange(start, min(start + size, count))
        part = folder / f"part-{number:05d}.parquet"
        storage.write_table(str(part), _staged_part(rows, shape))
        source = ShardSource(str(part), np.arange(len(rows)))
        shard = Shard(f"{TRAIN}/drawn-{number:05d}.parquet", TRAIN, (source,))
        files.append(ShardFile(path=shard.path, split=TRAIN, **writer.write(shard)._asdict()))
        part.unlink()
    manifest.publish_manifest(root, _manifest(count, shape, files))
    return len(files)


def _staged_part(rows: np.ndarray, shape: Shape) -> pa.Table:
    """Return rows as a staged part of preprocess: the columns of a shard except `label_id`."""
    rng = np.random.default_rng([_SEED, int(rows[0])])
    pixels = rng.integers(0, 256, (len(rows), int(np.prod(shape))), np.uint8)
    texts = {
        schema.KEY: [f"{_IMAGES}/{row:08d}.jpg" for row in rows],
        schema.LABEL: [LABELS[row % len(LABELS)] for row in rows],
    }
    fields = [field for field in schema.ROWS if field.name != schema.LABEL_ID]
    arrays = []
    for field in fields:
        if field.name in texts:
            arrays.append(arrow.string_array(texts[field.name]))
        elif field.name == schema.IMAGE:
            arrays.append(arrow.binary_array([image.tobytes() for image in pixels]))
        elif pa.types.is_fixed_size_binary(field.type):
            digests = [int(row).to_bytes(field.type.byte_width, "little") for row in rows]
            arrays.append(arrow.fixed_binary_array(digests, field.type.byte_width))
        else:
            arrays.append(arrow.number_array(rows, field.type))
    return pa.table(arrays, schema=pa.schema(fields))


def _manifest(count: int, shape: Shape, files: list[ShardFile]) -> Manifest:
    counts = {split: dict.fromkeys(LABELS, 0) for split in SPLITS}
    for number, label in enumerate(LABELS):
        counts[TRAIN][label] = len(range(number, count, len(LABELS)))
    height_px, width_px, channels = shape
    return Manifest(
        schema_version=schema.SCHEMA_VERSION,
        halftone_version=halftone.__version__,
        created=datetime.now(timezone.utc).isoformat(timespec="seconds"),
        seed=_SEED,
        pixels=PixelSpec(height_px=height_px, width_px=width_px, channels=channels),
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
