"""Scores one block of raw images. Runs in Spark's Python workers."""

from __future__ import annotations

import pyarrow as pa
import pyarrow.compute as pc

from halftone import arrow, storage
from halftone.dataset import schema
from halftone.preprocess import decode_block
from halftone.scoring import predict, predictions
from halftone.scoring.predict import PredictorSettings
from halftone.scoring.predictions import PredictionSummary
from halftone.scoring.summary_parts import NUMBER

URL = "url"
# What is summarised: blocks, and files of predictions that are kept from earlier runs.
SOURCES = pa.schema(
    [
        pa.field(NUMBER, pa.int32()),  # of the block
        pa.field(URL, pa.string()),  # of the file, else ""
    ]
)
REJECTS_PREFIX = "rejects-"  # of the names of rejects files


def score_block_or_file(
    predictor: PredictorSettings, blocks: decode_block.DecodeJob, *, number: int, url: str
) -> PredictionSummary:
    """Score a block, unless its predictions are complete, or read such a file; summarise it.

    Args:
        blocks: the blocks; their parts are files of schema.IMAGE_PREDICTIONS.
        number, url: a row of SOURCES.
    """
    if url:
        return predictions.summarise_predictions(predictor, storage.read_table(url))
    target = decode_block.part_url(blocks, number)
    rejects_url = storage.join(blocks.parts, f"{REJECTS_PREFIX}{number:06d}.parquet")
    entries = storage.read_row_group(blocks.plan_url, number)
    num_rejects = storage.count_rows(rejects_url) or 0
    if storage.count_rows(target) == entries.num_rows - num_rejects:
        rows, rejects = storage.read_table(target), arrow.empty_table(schema.REJECTS)
        if num_rejects:
            rejects = storage.read_table(rejects_url)
    else:
        part = decode_block.decode_images(blocks.root, entries, blocks.pixels, blocks.read_threads)
        rows = _predict_part(predictor, decode_block.select_decoded(part))
        rejects = decode_block.select_rejects(part)
        if rejects.num_rows:
            storage.write_table(rejects_url, rejects)
        storage.write_table(target, rows)  # last: it marks the block as done
    return predictions.summarise_predictions(predictor, rows, rejects[schema.REASON].to_pylist())


def _predict_part(predictor: PredictorSettings, part: pa.Table) -> pa.Table:
    """Return schema.IMAGE_PREDICTIONS for the decoded images of a part."""
    part = part.combine_chunks()
    label = part["label"]
    is_known = pc.not_equal(label, arrow.string_array([""])[0])
    label = pc.if_else(is_known, label, pa.nulls(part.num_rows, pa.string()))
    probabilities = predict.predict_probabilities(
        predictor, arrow.view_images(part["image"], predictor.shape)
    )
    table = predictions.prediction_table(predictor, part["key"], label, probabilities, None)
    file_columns = [part["source_bytes"], part["source_modified"]]
    return pa.table([*table.columns, *file_columns], schema=schema.IMAGE_PREDICTIONS)
