"""Fits temperature and threshold on the validation split, if the config asks for it.

The predictions of the split are files that workers write. Neither the driver nor a worker holds
those of all rows.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from functools import partial
from typing import Any, NamedTuple, Optional

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from pyspark.sql import DataFrame

from halftone import arrow, storage
from halftone.config import ScoreSettings
from halftone.dataset.manifest import Manifest, read_shards
from halftone.dataset.splits import VALIDATION
from halftone.errors import InputError
from halftone.metrics import temperature_fit, thresholds
from halftone.metrics.calibration import Numbers
from halftone.metrics.model import DecisionThreshold
from halftone.scoring import spark_scorer, validation_task
from halftone.scoring.spark_scorer import SparkScorer
from halftone.scoring.validation_task import (
    FILE_SLOPES,
    SCORE_RANGE,
    SCORE_RANGES,
    THRESHOLDS,
)
from halftone.spark import actions, frames
from halftone.spark.actions import ActionProgress

# The driver evaluates so many probabilities in less time than a Spark job takes.
_MAX_DRIVER_VALUES = 1_000_000


def check_dataset(settings: ScoreSettings, data: Manifest) -> None:
    """Raise InputError if the dataset lacks what the settings need."""
    check_num_classes(settings, len(data.labels))
    if needs_validation_split(settings) and not data.totals(VALIDATION).shards:
        key = "score.calibrate" if settings.calibrate else f"score.threshold {settings.threshold}"
        raise InputError(
            f"{key} needs a validation split, and the dataset has none; preprocess with a "
            "splits.validation_fraction"
        )


def check_num_classes(settings: ScoreSettings, num_classes: int) -> None:
    """Raise InputError if a threshold is set and there are more than two classes."""
    if num_classes != 2 and settings.threshold != thresholds.DEFAULT_THRESHOLD:
        raise InputError(
            f"score.threshold is {settings.threshold}, but the model has {num_classes} classes and "
            "predicts the most probable one; leave score.threshold out"
        )


def needs_validation_split(settings: ScoreSettings) -> bool:
    """Return whether temperature or threshold are fitted on the validation split."""
    return settings.calibrate or isinstance(settings.threshold, str)


def fit_scorer(
    scorer: SparkScorer, settings: ScoreSettings, data: Optional[Manifest], folder: str
) -> SparkScorer:
    """Return the scorer with the temperature and the threshold that the settings ask for.

    Args:
        data: the dataset to fit on; needed if `needs_validation_split(settings)`.
        folder: URL of a folder for the predictions of the validation split. Those of an earlier
            run with this model and dataset are used again.
    """
    if not needs_validation_split(settings):
        return scorer._replace(
            predictor=scorer.predictor._replace(threshold=float(settings.threshold))
        )
    assert data is not None
    rows = _predict_validation(scorer, data, folder)
    temperature = 1.0
    if settings.calibrate:
        temperature = temperature_fit.fit_temperature(partial(_sum_slopes, rows), rows.num_rows)
    if isinstance(settings.threshold, str):
        min_precision = settings.wanted_precision or 0.0
        threshold = _choose_threshold(
            rows, temperature, min_precision if settings.threshold == "precision" else None
        )
    else:
        threshold = float(settings.threshold)
    predictor = scorer.predictor._replace(temperature=temperature, threshold=threshold)
    return scorer._replace(predictor=predictor)


def use_fitted(
    scorer: SparkScorer, threshold: Optional[DecisionThreshold], temperature: float
) -> SparkScorer:
    """Return the scorer with values that were fitted before.

    Args:
        threshold: None for more than two classes.
    """
    value = thresholds.DEFAULT_THRESHOLD if threshold is None else threshold.value
    predictor = scorer.predictor._replace(temperature=temperature, threshold=value)
    return scorer._replace(predictor=predictor)


class _ValidationRows(NamedTuple):
    """The predictions of the validation split."""

    scorer: SparkScorer
    urls: tuple[str, ...]  # of files of VALIDATION_PREDICTIONS
    num_rows: int
    num_positives: int  # rows of the class with id 1

    @property
    def num_classes(self) -> int:
        return len(self.scorer.predictor.labels)

    @property
    def are_few(self) -> bool:
        """Return whether the driver reads them itself."""
        return self.num_rows * self.num_classes <= _MAX_DRIVER_VALUES

    def url_frame(self) -> DataFrame:
        return frames.create_url_frame(self.scorer.spark, self.urls, self.scorer.max_tasks())


def _predict_validation(scorer: SparkScorer, data: Manifest, folder: str) -> _ValidationRows:
    shards = read_shards(scorer.dataset, data, VALIDATION)
    urls = [storage.join(folder, spark_scorer.shard_file_name(shard)) for shard in shards]
    counts = scorer.predict_validation(data, shards, urls)
    num_rows, num_positives = map(sum, zip(*counts))
    return _ValidationRows(scorer, tuple(urls), num_rows, num_positives)


def _sum_slopes(rows: _ValidationRows, inverse_temperatures: Numbers) -> Numbers:
    """Return the slopes of the cross-entropy of all rows."""
    sum_file = partial(validation_task.sum_slopes, rows.num_classes, inverse_temperatures)
    results: Sequence[Any]
    if rows.are_few:
        results = [result for url in rows.urls for result in sum_file(url=url)]
    else:
        frame = frames.map_rows(rows.url_frame(), sum_file, FILE_SLOPES)
        progress = ActionProgress("calibrate", "compute slopes of the cross-entropy")
        results = actions.collect_rows(frame, progress)
    # Exact sums: the order of the files makes no difference.
    return np.array([math.fsum(slopes) for slopes in zip(*(result[0] for result in results))])


def _choose_threshold(
    rows: _ValidationRows, temperature: float, min_precision: Optional[float]
) -> float:
    """Return the threshold with the best F1, or with a precision.

    Raises:
        InputError: there is none.
    """
    count = partial(validation_task.count_scores, temperature)
    choose = partial(validation_task.choose_threshold, rows.num_positives, min_precision)
    if rows.are_few:
        counts = pa.concat_tables(count([frames.url_table(rows.urls)]))
        order = pc.sort_indices(counts, sort_keys=[(SCORE_RANGE, "descending")])
        (table,) = choose([arrow.take_rows(counts, arrow.to_numpy(order))])
        ((threshold, message),) = arrow.iter_rows(table, *THRESHOLDS.names)
    else:
        frame = frames.map_tables(rows.url_frame(), count, SCORE_RANGES).repartition(1)
        frame = frame.sortWithinPartitions(SCORE_RANGE, ascending=False)
        frame = frames.map_tables(frame, choose, THRESHOLDS)
        progress = ActionProgress("calibrate", "choose a threshold")
        ((threshold, message),) = actions.collect_rows(frame, progress)
    if message:
        raise InputError(message)
    return float(threshold)
