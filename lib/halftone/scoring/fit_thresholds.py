"""Temperature and threshold as the config asks for them, from the validation split."""

from __future__ import annotations

from typing import Optional

from halftone.config import Score
from halftone.dataset.manifest import Manifest
from halftone.dataset.splits import VALIDATION
from halftone.errors import InputError
from halftone.metrics import calibration, thresholds
from halftone.scoring.spark_scorer import Scorer


def check(settings: Score, data: Manifest) -> None:
    """Raise InputError where the dataset does not have what the settings need."""
    check_classes(settings, len(data.labels))
    if need_validation(settings) and not data.shards(VALIDATION):
        what = "score.calibrate" if settings.calibrate else f"score.threshold {settings.threshold}"
        raise InputError(
            f"{what} needs a validation split, and the dataset has none; preprocess with a "
            "splits.validation_fraction"
        )


def check_classes(settings: Score, num_classes: int) -> None:
    """Raise InputError where there is no threshold between so many classes."""
    if num_classes != 2 and settings.threshold != thresholds.HALF:
        raise InputError(
            f"score.threshold is {settings.threshold}, but the model has {num_classes} classes, "
            "of which the most probable is taken; leave score.threshold out"
        )


def need_validation(settings: Score) -> bool:
    """Whether temperature or threshold are found on the validation split."""
    return settings.calibrate or isinstance(settings.threshold, str)


def settled(scorer: Scorer, settings: Score, data: Optional[Manifest]) -> Scorer:
    """Return the scorer with the temperature and the threshold that it is to predict with.

    Args:
        data: needed where `need_validation` says so.
    """
    if not need_validation(settings):
        return scorer._replace(work=scorer.work._replace(threshold=float(settings.threshold)))
    assert data is not None
    label_ids, probabilities = scorer.probabilities(data.shards(VALIDATION), "calibrate")
    temperature = 1.0
    if settings.calibrate:
        temperature = calibration.temperature(label_ids, probabilities)
        probabilities = calibration.apply(probabilities, temperature)
    if settings.threshold == "best_f1":
        threshold = thresholds.best_f1_threshold(label_ids, probabilities[:, 1])
    elif settings.threshold == "precision":
        wanted = settings.wanted_precision or 0.0
        threshold = thresholds.precision_threshold(label_ids, probabilities[:, 1], wanted)
    else:
        threshold = float(settings.threshold)
    work = scorer.work._replace(temperature=temperature, threshold=threshold)
    return scorer._replace(work=work)
