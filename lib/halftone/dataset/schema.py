"""Arrow schemas of the Parquet files that stages exchange, and the names of their columns.

`halftone.dataset` and `halftone.preprocess` name these columns only by the constants below, also
in the tables that they keep in memory; columns of in-memory tables alone (`status`, `group`, ...)
are named where their schema is. Fields of a NamedTuple that stand for a column have its name.
"""

from __future__ import annotations

import json

import pyarrow as pa

from halftone.config import PixelSpec

# Increased when a reader of the older version would misread what the newer one writes.
SCHEMA_VERSION = 1

KEY = "key"
LABEL = "label"
LABEL_ID = "label_id"
IMAGE = "image"
SOURCE_HEIGHT_PX = "source_height_px"
SOURCE_WIDTH_PX = "source_width_px"
SOURCE_BYTES = "source_bytes"
SOURCE_MODIFIED = "source_modified"
SOURCE_DIGEST = "source_digest"
PERCEPTUAL_HASH = "perceptual_hash"
PATH = "path"
REASON = "reason"
DETAIL = "detail"
SIZE_BYTES = "size_bytes"
KEPT_PATH = "kept_path"
MODIFIED = "modified"
DIGEST = "digest"
SPLIT = "split"
NEAR_PATH = "near_path"
NEAR_SPLIT = "near_split"
NEAR_LABEL = "near_label"
DISTANCE = "distance"
PREDICTION = "prediction"
PROBABILITY = "probability"
LOSS = "loss"
MODEL_VERSION = "model_version"
FINGERPRINT = "fingerprint"

# A row of a dataset's shard.
ROWS = pa.schema(
    [
        pa.field(KEY, pa.string(), nullable=False),  # the path or URL of the image file
        pa.field(LABEL, pa.string(), nullable=False),  # the name of the class
        pa.field(LABEL_ID, pa.int32(), nullable=False),  # its index in the manifest's labels
        pa.field(IMAGE, pa.binary(), nullable=False),  # see stored_images
        pa.field(SOURCE_HEIGHT_PX, pa.int32(), nullable=False),  # after EXIF orientation
        pa.field(SOURCE_WIDTH_PX, pa.int32(), nullable=False),
        pa.field(SOURCE_BYTES, pa.int64(), nullable=False),
        pa.field(SOURCE_MODIFIED, pa.float64(), nullable=False),  # seconds since 1970
        pa.field(SOURCE_DIGEST, pa.binary(), nullable=False),  # 16 bytes, decode_block.file_digest
        pa.field(PERCEPTUAL_HASH, pa.int64(), nullable=False),  # see images.perceptual
    ]
)


def rows_with_shape(pixels: PixelSpec) -> pa.Schema:
    """Return ROWS whose metadata state the format of IMAGE, for readers without the manifest.

    The key is the column's name, the value is JSON. Shards of an older Halftone have none, and
    their SOURCE_DIGEST is of a fixed size, which Hugging Face `datasets` 2 does not read. Raw
    pixels have no encoding there.
    """
    height_px, width_px, channels = pixels.shape
    shape = {"height": height_px, "width": width_px, "channels": channels, "dtype": "uint8"}
    encoding = {} if pixels.encoding == "raw" else {"encoding": pixels.encoding}
    return ROWS.with_metadata({IMAGE: json.dumps({**shape, **encoding})})


# An input that did not become a row, and the reason.
REJECTS = pa.schema(
    [
        pa.field(PATH, pa.string(), nullable=False),
        pa.field(REASON, pa.string(), nullable=False),
        pa.field(DETAIL, pa.string(), nullable=False),
        pa.field(SIZE_BYTES, pa.int64(), nullable=False),
        pa.field(MODIFIED, pa.float64(), nullable=False),  # seconds since 1970
    ]
)

# An input with the same bytes as another input, which is a row (`kept_path`).
DUPLICATES = pa.schema(
    [
        pa.field(PATH, pa.string(), nullable=False),
        pa.field(KEPT_PATH, pa.string(), nullable=False),
        pa.field(SIZE_BYTES, pa.int64(), nullable=False),
        pa.field(MODIFIED, pa.float64(), nullable=False),
        pa.field(LABEL, pa.string(), nullable=False),
        pa.field(DIGEST, pa.binary(), nullable=False),  # 16 bytes, decode_block.file_digest
    ]
)

# A row that looks nearly the same as a row of an earlier split. With another label, one of the two
# may be a label error.
NEAR_DUPLICATES = pa.schema(
    [
        pa.field(PATH, pa.string(), nullable=False),
        pa.field(SPLIT, pa.string(), nullable=False),
        pa.field(LABEL, pa.string(), nullable=False),
        pa.field(NEAR_PATH, pa.string(), nullable=False),
        pa.field(NEAR_SPLIT, pa.string(), nullable=False),
        pa.field(NEAR_LABEL, pa.string(), nullable=False),
        pa.field(DISTANCE, pa.int64(), nullable=False),  # bits of 64 that differ
    ]
)

# A scored row; `probability` holds one value per class, in the order of the model's labels.
PREDICTIONS = pa.schema(
    [
        pa.field(KEY, pa.string(), nullable=False),
        pa.field(LABEL, pa.string()),  # null if it is not known
        pa.field(PREDICTION, pa.string(), nullable=False),
        pa.field(PROBABILITY, pa.list_(pa.float32()), nullable=False),
        pa.field(LOSS, pa.float64()),  # cross-entropy of the row, in nats; null without a label
        pa.field(MODEL_VERSION, pa.string(), nullable=False),
        pa.field(FINGERPRINT, pa.string()),  # of the dataset; null for a raw image
    ]
)

# A scored raw image; size and time of modification show later whether the file has changed.
IMAGE_PREDICTIONS = pa.schema(
    [
        *PREDICTIONS,
        pa.field(SIZE_BYTES, pa.int64(), nullable=False),
        pa.field(MODIFIED, pa.float64(), nullable=False),  # seconds since 1970
    ]
)
