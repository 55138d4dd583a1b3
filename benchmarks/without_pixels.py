"""The decoding step of preprocessing without pixels: what is left is the work on metadata.

Spark's workers import this module, so this folder must be on their PYTHONPATH.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator

import numpy as np
import pyarrow as pa

from halftone import arrow, storage
from halftone.dataset import schema
from halftone.preprocess import staging
from halftone.preprocess.decode_block import OK, PART, STATUS, DecodeJob, count_decoded, part_url
from halftone.spark.frames import build_table


def stage_blocks(job: DecodeJob, tables: Iterator[pa.Table]) -> Iterator[pa.Table]:
    """As `staging._stage_blocks`, but no image is read: each has one pixel and random hashes."""
    for block, entries in staging.iter_blocks(tables):
        part = _build_part(job.root, entries)
        storage.write_table(part_url(job, block), part)
        rows = [(block, entries.num_rows, *count_decoded(part))]
        yield build_table(rows, staging._BLOCK_RESULTS)


def _build_part(root: str, entries: pa.Table) -> pa.Table:
    keys = [storage.join(root, path) for path in entries[schema.PATH].to_pylist()]
    digests = [hashlib.blake2b(key.encode(), digest_size=16).digest() for key in keys]
    hashes = np.frombuffer(b"".join(digests), np.int64)[::2].copy()
    num_rows = entries.num_rows
    one = arrow.repeat_value(arrow.number_array([1], pa.int32()), num_rows)
    columns = {
        schema.KEY: arrow.string_array(keys),
        schema.LABEL: entries[schema.LABEL],
        schema.SPLIT: entries[schema.SPLIT],
        STATUS: arrow.repeat_value(arrow.string_array([OK]), num_rows),
        schema.DETAIL: arrow.repeat_value(arrow.string_array([""]), num_rows),
        schema.IMAGE: arrow.make_array([b"\0"] * num_rows, pa.binary()),
        schema.SOURCE_HEIGHT_PX: one,
        schema.SOURCE_WIDTH_PX: one,
        schema.SOURCE_BYTES: entries[schema.SIZE_BYTES],
        schema.SOURCE_MODIFIED: entries[schema.MODIFIED],
        schema.SOURCE_DIGEST: arrow.make_array(digests, pa.binary()),
        schema.PERCEPTUAL_HASH: arrow.number_array(hashes, pa.int64()),
    }
    return pa.table([columns[name] for name in PART.names], schema=PART)
