"""One block of raw images to predictions and rejects. Runs in Spark's Python workers."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Union

import pyarrow as pa
import pyarrow.compute as pc

from halftone import arrow, storage
from halftone.dataset import schema
from halftone.preprocess import decode_block
from halftone.scoring import predict, predictions
from halftone.scoring.predict import PredictorSettings
from halftone.scoring.predictions import PredictionSummary

REJECTS_PREFIX = "rejects-"  # how the names of their files begin


def score_block_or_file(
    predictor: PredictorSettings,
    blocks: decode_block.DecodeJob,
    sources: Sequence[Union[int, str]],
    index: int,
) -> PredictionSummary:
    """Do one piece of work and say what it comes to.

    Args:
        blocks: whose parts are files of schema.IMAGE_PREDICTIONS.
        pieces: numbers of blocks to score, and URLs of predictions that are only to be counted.
    """
    piece = sources[index]
    if isinstance(piece, str):
        return predictions.summarise_predictions(predictor, storage.read_table(piece))
    target = decode_block.part_url(blocks, piece)
    rejects = storage.join(blocks.parts, f"{REJECTS_PREFIX}{piece:06d}.parquet")
    if storage.exists(target):
        made = storage.read_table(target)
        rejected = arrow.empty_table(schema.REJECTS)
        if storage.exists(rejects):
            rejected = storage.read_table(rejects)
    else:
        entries = storage.read_row_group(blocks.plan_url, piece)
        part = decode_block.decode_images(blocks.root, entries, blocks.pixels, blocks.read_threads)
        made, rejected = (
            _predict_part(predictor, decode_block.select_decoded(part)),
            decode_block.select_rejects(part),
        )
        if rejected.num_rows:
            storage.write_table(rejects, rejected)
        storage.write_table(target, made)  # says that all is done
    return predictions.summarise_predictions(predictor, made, rejected[schema.REASON].to_pylist())


def _predict_part(predictor: PredictorSettings, part: pa.Table) -> pa.Table:
    """Return schema.IMAGE_PREDICTIONS of an ingest.PART of decoded images."""
    part = part.combine_chunks()
    label = part["label"]
    is_known = pc.not_equal(label, arrow.string_array([""])[0])
    label = pc.if_else(is_known, label, pa.nulls(part.num_rows, pa.string()))
    probabilities = predict.predict_probabilities(
        predictor, arrow.view_images(part["image"], predictor.shape)
    )
    made = predictions.prediction_table(predictor, part["key"], label, probabilities, None)
    seen = [part["source_bytes"], part["source_modified"]]
    return pa.table([*made.columns, *seen], schema=schema.IMAGE_PREDICTIONS)
