"""Fits temperature and threshold on the validation split, if the config asks for it."""

from __future__ import annotations

from typing import Optional

from halftone.config import ScoreSettings
from halftone.dataset.manifest import Manifest, read_shards
from halftone.dataset.splits import VALIDATION
from halftone.errors import InputError
from halftone.metrics import calibration, thresholds
from halftone.scoring.spark_scorer import SparkScorer


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
    scorer: SparkScorer, settings: ScoreSettings, data: Optional[Manifest]
) -> SparkScorer:
    """Return the scorer with the temperature and the threshold that the settings ask for.

    Args:
        data: the dataset to fit on; needed if `needs_validation_split(settings)`.
    """
    if not needs_validation_split(settings):
        return scorer._replace(
            predictor=scorer.predictor._replace(threshold=float(settings.threshold))
        )
    assert data is not None
    shards = read_shards(scorer.dataset, data, VALIDATION)
    label_ids, probabilities = scorer.predict_shards(shards, "calibrate")
    temperature = 1.0
    if settings.calibrate:
        temperature = calibration.fit_temperature(label_ids, probabilities)
        probabilities = calibration.apply_temperature(probabilities, temperature)
    if settings.threshold == "best_f1":
        threshold = thresholds.best_f1_threshold(label_ids, probabilities[:, 1])
    elif settings.threshold == "precision":
        min_precision = settings.wanted_precision or 0.0
        threshold = thresholds.precision_threshold(label_ids, probabilities[:, 1], min_precision)
    else:
        threshold = float(settings.threshold)
    predictor = scorer.predictor._replace(temperature=temperature, threshold=threshold)
    return scorer._replace(predictor=predictor)
