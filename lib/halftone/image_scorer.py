"""One block of raw images to predictions and rejects. Runs in Spark's Python workers."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Union

import pyarrow as pa
import pyarrow.compute as pc

from halftone import columns, ingest, predict, schema, scored, storage
from halftone.predict import Work
from halftone.scored import Scored

REJECTS = "rejects-"  # how the names of their files begin


def score_piece(
    work: Work, blocks: ingest.Work, pieces: Sequence[Union[int, str]], number: int
) -> Scored:
    """Do one piece of work and say what it comes to.

    Args:
        blocks: whose parts are files of schema.IMAGE_PREDICTIONS.
        pieces: numbers of blocks to score, and URLs of predictions that are only to be counted.
    """
    piece = pieces[number]
    if isinstance(piece, str):
        return scored.of(work, storage.read_table(piece))
    target = ingest.part_url(blocks, piece)
    rejects = storage.join(blocks.parts, f"{REJECTS}{piece:06d}.parquet")
    if storage.exists(target):
        made = storage.read_table(target)
        rejected = columns.nothing(schema.REJECTS)
        if storage.exists(rejects):
            rejected = storage.read_table(rejects)
    else:
        entries = storage.read_row_group(blocks.plan, piece)
        part = ingest.stage(blocks.root, entries, blocks.pixels, blocks.read_threads)
        made, rejected = _predicted(work, ingest.decoded(part)), ingest.rejected(part)
        if rejected.num_rows:
            storage.write_table(rejects, rejected)
        storage.write_table(target, made)  # says that all is done
    return scored.of(work, made, rejected[schema.REASON].to_pylist())


def _predicted(work: Work, part: pa.Table) -> pa.Table:
    """Return schema.IMAGE_PREDICTIONS of an ingest.PART of decoded images."""
    part = part.combine_chunks()
    label = part["label"]
    is_known = pc.not_equal(label, columns.of_text([""])[0])
    label = pc.if_else(is_known, label, pa.nulls(part.num_rows, pa.string()))
    probabilities = predict.probabilities(work, columns.pixels(part["image"], work.shape))
    made = scored.table(work, part["key"], label, probabilities, None)
    seen = [part["source_bytes"], part["source_modified"]]
    return pa.table([*made.columns, *seen], schema=schema.IMAGE_PREDICTIONS)
