"""The columns and tensor shapes that stages agree on. No column name is spelled elsewhere."""

from __future__ import annotations

import pyarrow as pa

# Raised when a reader of the older version would misread what the newer one writes.
SCHEMA_VERSION = 1

KEY = "key"
LABEL = "label"
LABEL_ID = "label_id"
IMAGE = "image"
PATH = "path"
REASON = "reason"
DETAIL = "detail"
SIZE_BYTES = "size_bytes"
KEPT_PATH = "kept_path"
MODIFIED = "modified"
DIGEST = "digest"
PREDICTION = "prediction"
PROBABILITY = "probability"
LOSS = "loss"
MODEL_VERSION = "model_version"
FINGERPRINT = "fingerprint"

# A row of a dataset's shard.
ROWS = pa.schema(
    [
        pa.field(KEY, pa.string(), nullable=False),  # the source path
        pa.field(LABEL, pa.string(), nullable=False),  # the class's name
        pa.field(LABEL_ID, pa.int32(), nullable=False),  # its index in the manifest's labels
        pa.field(IMAGE, pa.binary(), nullable=False),  # height x width x channels raw uint8
        pa.field("source_height_px", pa.int32(), nullable=False),  # after EXIF orientation
        pa.field("source_width_px", pa.int32(), nullable=False),
        pa.field("source_bytes", pa.int64(), nullable=False),
        pa.field("source_modified", pa.float64(), nullable=False),  # seconds since 1970
        pa.field("source_digest", pa.binary(16), nullable=False),  # see ingest.digest
        pa.field("perceptual_hash", pa.int64(), nullable=False),  # see images.perceptual
    ]
)

# An input that did not become a row, and why.
REJECTS = pa.schema(
    [
        pa.field(PATH, pa.string(), nullable=False),
        pa.field(REASON, pa.string(), nullable=False),
        pa.field(DETAIL, pa.string(), nullable=False),
        pa.field(SIZE_BYTES, pa.int64(), nullable=False),
        pa.field(MODIFIED, pa.float64(), nullable=False),  # seconds since 1970
    ]
)

# An input whose bytes another input has too, and that other, which is a row.
DUPLICATES = pa.schema(
    [
        pa.field(PATH, pa.string(), nullable=False),
        pa.field(KEPT_PATH, pa.string(), nullable=False),
        pa.field(SIZE_BYTES, pa.int64(), nullable=False),
        pa.field(MODIFIED, pa.float64(), nullable=False),
        pa.field(LABEL, pa.string(), nullable=False),
        pa.field(DIGEST, pa.binary(16), nullable=False),  # see ingest.digest
    ]
)

# A row that looks nearly the same as a row of an earlier split.
NEAR_DUPLICATES = pa.schema(
    [
        pa.field(PATH, pa.string(), nullable=False),
        pa.field("split", pa.string(), nullable=False),
        pa.field("near_path", pa.string(), nullable=False),
        pa.field("near_split", pa.string(), nullable=False),
        pa.field("distance", pa.int64(), nullable=False),  # bits of 64 that differ
    ]
)

# A scored row; `probability` holds one value a class, in the order of the model's labels.
PREDICTIONS = pa.schema(
    [
        pa.field(KEY, pa.string(), nullable=False),
        pa.field(LABEL, pa.string()),  # null where it is not known
        pa.field(PREDICTION, pa.string(), nullable=False),
        pa.field(PROBABILITY, pa.list_(pa.float32()), nullable=False),
        pa.field(LOSS, pa.float64()),  # cross-entropy of the row, in nats; null without a label
        pa.field(MODEL_VERSION, pa.string(), nullable=False),
        pa.field(FINGERPRINT, pa.string()),  # of the dataset; null for a raw image
    ]
)

# The same of a raw image, with what tells later whether the file has changed.
IMAGE_PREDICTIONS = pa.schema(
    [
        *PREDICTIONS,
        pa.field(SIZE_BYTES, pa.int64(), nullable=False),
        pa.field(MODIFIED, pa.float64(), nullable=False),  # seconds since 1970
    ]
)
