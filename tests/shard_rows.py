"""Rows of a dataset's shard, for tests."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import pyarrow as pa

from halftone.dataset import schema


def row(key: str, label: str, pixels: np.ndarray, digest: bytes = bytes(16)) -> dict[str, Any]:
    return {
        "key": key, "label": label, "label_id": 0, "image": pixels.astype(np.uint8).tobytes(),
        "source_height_px": 64, "source_width_px": 32, "source_bytes": 1024,
        "source_modified": 0.0, "source_digest": digest, "perceptual_hash": 0,
    }  # fmt: skip


def rows_table(rows: Sequence[dict[str, Any]]) -> pa.Table:
    return pa.Table.from_pylist(list(rows), schema=schema.ROWS)
