"""Explains the predictions of the report's examples, by tasks of workers that have the network."""

from __future__ import annotations

import math
from collections.abc import Sequence
from functools import partial
from itertools import chain, zip_longest
from typing import Optional

import numpy as np

from halftone import model_directory
from halftone.metrics.examples import Example, Examples
from halftone.report import HeatMaps
from halftone.scoring.heat_map_task import (
    EXPLAINED,
    HEAT_MAPS,
    NO_FEATURE_MAPS,
    explain_rows,
)
from halftone.scoring.scoring_job import ScoringJob
from halftone.scoring.spark_scorer import SparkScorer
from halftone.spark import actions, frames
from halftone.spark.actions import ActionProgress

_IMAGES_PER_TASK = 32
# Of all images that are sent to workers; Spark Connect refuses messages of more than 128 MiB.
_MAX_PIXEL_BYTES = 64 * 2**20


def explain_examples(
    job: ScoringJob, scorer: SparkScorer, examples: Examples
) -> Optional[HeatMaps]:
    """Return the heat maps of examples, for the predicted class; None if they are turned off.

    An image is explained as it is: not its views, and not the probability after scaling by a
    temperature, which changes no map. Of very large images, only the first ones are explained.
    """
    if not job.settings.heat_maps:
        return None
    selected = select_explained(examples, math.prod(scorer.predictor.shape))
    if not selected:
        return HeatMaps({})
    if not model_directory.has_convolution(job.model, job.model_info):
        return HeatMaps({}, NO_FEATURE_MAPS)
    class_ids = {label: number for number, label in enumerate(scorer.predictor.labels)}
    rows = [(each.key, class_ids[each.prediction], each.pixels.tobytes()) for each in selected]
    frame = frames.create_frame(
        scorer.spark, frames.build_table(rows, EXPLAINED), -(-len(rows) // _IMAGES_PER_TASK)
    )
    frame = frames.map_tables(frame, partial(explain_rows, scorer.predictor), HEAT_MAPS)
    progress = ActionProgress("explain", f"explain {len(rows)} predictions")
    found = [tuple(row) for row in actions.collect_rows(frame, progress)]
    return HeatMaps(
        {
            key: np.frombuffer(values, np.float32).reshape(height, width)
            for key, height, width, values, problem in found
            if not problem
        },
        max((problem for *_, problem in found), default=""),
    )


def select_explained(examples: Examples, image_bytes: int) -> Sequence[Example]:
    """Return examples of both kinds in turn, each image once, up to _MAX_PIXEL_BYTES."""
    in_turn = chain.from_iterable(zip_longest(examples.mistakes, examples.least_certain))
    by_key = {example.key: example for example in in_turn if example is not None}
    return list(by_key.values())[: max(1, _MAX_PIXEL_BYTES // image_bytes)]
