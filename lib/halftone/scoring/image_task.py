"""Scores one block of raw images, or takes a file of an earlier run over.

Runs in Spark's Python workers.
"""

from __future__ import annotations

import pyarrow as pa
import pyarrow.compute as pc

from halftone import arrow, storage
from halftone.dataset import schema
from halftone.dataset.stored_images import StoredImages
from halftone.preprocess import decode_block, row_notes
from halftone.preprocess.decode_block import DecodeJob
from halftone.scoring import predict, predictions
from halftone.scoring.predict import PredictorSettings
from halftone.scoring.predictions import PredictionSummary
from halftone.scoring.summary_parts import NUMBER

# Files that are kept from earlier runs.
KEPT_FILES = pa.schema(
    [
        pa.field(NUMBER, pa.int32()),
        pa.field("source", pa.string()),  # URL of the file
        pa.field("target", pa.string()),  # URL of the file that replaces it, or the same
        pa.field("notes", pa.string()),  # URL of ROW_NOTES: the rows that the new file lacks
        pa.field("num_rows", pa.int64()),  # of the target
        pa.field("is_rejects", pa.bool_()),  # or predictions
    ]
)


def score_block(
    predictor: PredictorSettings,
    job: DecodeJob,
    rejects_folder: str,
    block: int,
    entries: pa.Table,
) -> PredictionSummary:
    """Score a block, unless its predictions are complete; summarise it.

    Args:
        job: the parts are files of schema.IMAGE_PREDICTIONS.
        rejects_folder: URL of the folder for files of schema.REJECTS.
        entries: ENTRIES of the block, usable and unusable ones.
    """
    target = decode_block.part_url(job, block)
    rejects_url = decode_block.part_url(job._replace(parts=rejects_folder), block)
    num_rejects = storage.count_rows(rejects_url) or 0
    if storage.count_rows(target) == entries.num_rows - num_rejects:
        rows, rejects = storage.read_table(target), arrow.empty_table(schema.REJECTS)
        if num_rejects:
            rejects = storage.read_table(rejects_url)
    else:
        rows, rejects = _score_entries(predictor, job, entries)
        if rejects.num_rows:
            storage.write_table(rejects_url, rejects)
        # Last: it marks the block as done.
        storage.write_table(target, predictions.with_views(predictor, rows))
    return predictions.summarise_images(predictor, rows, rejects[schema.REASON].to_pylist())


def _score_entries(
    predictor: PredictorSettings, job: DecodeJob, entries: pa.Table
) -> tuple[pa.Table, pa.Table]:
    """Return schema.IMAGE_PREDICTIONS and schema.REJECTS."""
    is_usable = arrow.to_numpy(pc.binary_length(entries[schema.REASON])) == 0
    usable = arrow.filter_rows(entries, is_usable)
    unusable = arrow.filter_rows(entries, ~is_usable)
    names = (schema.KEY, schema.REASON, schema.DETAIL, schema.SIZE_BYTES, schema.MODIFIED)
    rejects = pa.table([unusable[name] for name in names], schema=schema.REJECTS)
    if not usable.num_rows:
        return arrow.empty_table(schema.IMAGE_PREDICTIONS), rejects
    part = decode_block.decode_images(job.root, usable, job.pixels, job.read_threads)
    rows = _predict_part(predictor, job, decode_block.select_decoded(part))
    rejects = pa.concat_tables([rejects, decode_block.select_rejects(part)])
    return rows, rejects.combine_chunks()


def keep_file(
    predictor: PredictorSettings,
    *,
    number: int,
    source: str,
    target: str,
    notes: str,
    num_rows: int,
    is_rejects: bool,
) -> PredictionSummary:
    """Write the rows of a file that are kept, unless that is done or all are; summarise them.

    Args:
        number, source, target, notes, num_rows, is_rejects: a row of KEPT_FILES.
    """
    if not notes or storage.count_rows(target) == num_rows:
        table = storage.read_table(target)
    else:
        table = storage.read_table(source)
        table = arrow.filter_rows(table, row_notes.keep_mask(table.num_rows, [notes]))
        storage.write_table(target, table)
    if is_rejects:
        none = arrow.empty_table(schema.IMAGE_PREDICTIONS)
        reasons = table[schema.REASON].to_pylist()
        return predictions.summarise_images(predictor, none, reasons)
    return predictions.summarise_images(predictor, table)


def _predict_part(predictor: PredictorSettings, job: DecodeJob, part: pa.Table) -> pa.Table:
    """Return schema.IMAGE_PREDICTIONS for the decoded images of a part."""
    part = part.combine_chunks()
    label = part["label"]
    is_known = pc.not_equal(label, arrow.string_array([""])[0])
    label = pc.if_else(is_known, label, pa.nulls(part.num_rows, pa.string()))
    # With encoding jpeg, the images were encoded: the model saw such pixels in its training too.
    pixels = StoredImages(part[schema.IMAGE], job.pixels, job.parts).pixels()
    probabilities = predict.predict_probabilities(predictor, pixels)
    table = predictions.prediction_table(predictor, part["key"], label, probabilities, None)
    file_columns = [part["source_bytes"], part["source_modified"]]
    return pa.table([*table.columns, *file_columns], schema=schema.IMAGE_PREDICTIONS)
