"""Scores raw images block by block in Spark, and takes files of earlier runs over."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from functools import partial

import pyarrow as pa
from pyspark.sql import DataFrame

from halftone.preprocess import staging
from halftone.preprocess.decode_block import DecodeJob
from halftone.scoring import previous_predictions, summary_parts
from halftone.scoring.collect_summary import collect_summary, plan_merges
from halftone.scoring.image_task import keep_file, score_block
from halftone.scoring.predict import PredictorSettings
from halftone.scoring.predictions import PredictionSummary
from halftone.scoring.previous_predictions import KeptFile
from halftone.scoring.spark_scorer import SparkScorer
from halftone.scoring.summary_parts import SUMMARY_PARTS
from halftone.spark import frames
from halftone.spark.actions import ActionProgress


def score_blocks(
    scorer: SparkScorer,
    job: DecodeJob,
    rejects_folder: str,
    entries: DataFrame,
    num_entries: int,
    output: str,
    kept: Sequence[KeptFile],
) -> PredictionSummary:
    """Score images, and write what is kept of files that lose rows; summarise both.

    Args:
        job: where predictions are written to, and how images are decoded.
        rejects_folder: URL of the folder where rejects are written to.
        entries: ENTRIES of images to score, and of unusable ones.
        num_entries: rows of `entries`.
        output: URL of the scores directory.
        kept: files of earlier runs. There is an entry or a file.
    """
    num_blocks = staging.count_blocks(num_entries, job.pixels) if num_entries else 0
    parts = []
    if num_entries:
        blocks = staging.group_by_block(entries, num_blocks, num_entries)
        score = partial(_score_blocks, scorer.predictor, job, rejects_folder)
        parts.append(frames.map_tables(blocks, score, SUMMARY_PARTS))
    num_tasks = num_blocks
    if kept:
        files = previous_predictions.kept_table(output, kept, num_blocks)
        num_tasks += min(files.num_rows, scorer.max_tasks())
        keep = partial(summary_parts.summarise_rows, partial(keep_file, scorer.predictor))
        frame = frames.create_frame(scorer.spark, files, scorer.max_tasks())
        parts.append(frames.map_tables(frame, keep, SUMMARY_PARTS))
    summaries = parts[0] if len(parts) == 1 else parts[0].union(parts[1])
    num_rows = num_entries + sum(file.num_rows for file in kept)
    progress = ActionProgress(
        "score",
        f"score images of {job.root}",
        num_entries,
        "images",
        staging.count_written(job, num_entries, num_blocks).count,
    )
    merge_steps = plan_merges(num_tasks, num_rows, scorer.predictor)
    return collect_summary(scorer.spark, summaries, merge_steps, progress)


def _score_blocks(
    predictor: PredictorSettings,
    job: DecodeJob,
    rejects_folder: str,
    tables: Iterable[pa.Table],
) -> Iterator[pa.Table]:
    """Yield the summary of the blocks of a partition, in parts."""
    blocks = staging.iter_blocks(iter(tables))
    yield from summary_parts.merge_numbered(
        (block, score_block(predictor, job, rejects_folder, block, entries))
        for block, entries in blocks
    )
