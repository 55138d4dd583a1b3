"""The steps that scoring a dataset and scoring raw images have in common."""

from __future__ import annotations

import time
from dataclasses import dataclass
from datetime import datetime, timezone
from typing import Any, Callable, Optional

from pyspark.sql import SparkSession

from halftone import model_directory, storage
from halftone.config import Config, ScoreSettings
from halftone.config.score import NO_VIEWS
from halftone.dataset.manifest import Manifest
from halftone.errors import RunError
from halftone.metrics.model import Metrics
from halftone.model_directory import ModelInfo
from halftone.scoring import fit_thresholds, scores_directory, spark_scorer, views
from halftone.scoring.scores_tables import PREDICTIONS
from halftone.scoring.spark_scorer import SparkScorer

SessionFactory = Callable[[], SparkSession]


@dataclass(frozen=True)
class ScoringJob:
    """A model, the settings, and the directory that the scores go to."""

    config: Config
    model: str  # URL
    model_info: ModelInfo
    output: str  # URL
    started: float  # time.monotonic()

    @property
    def settings(self) -> ScoreSettings:
        return self.config.score

    def fingerprint(self, validation_data: Optional[Manifest]) -> str:
        """Return a name for everything that a prediction depends on besides its image.

        Args:
            validation_data: the dataset for threshold and temperature; only used if the settings
                ask to fit them.
        """
        is_fitted = fit_thresholds.needs_validation_split(self.settings)
        dataset = validation_data.fingerprint if is_fitted and validation_data else None
        return scores_directory.scoring_fingerprint(self.model_info, self.settings, dataset)

    def fitted_scorer(
        self,
        spark: SparkSession,
        dataset: str,
        data: Optional[Manifest],
        fitted: Optional[Metrics] = None,
    ) -> SparkScorer:
        """Return a scorer with the temperature and the threshold that the settings ask for.

        Args:
            dataset: URL of `data`, or empty.
            data: needed if threshold or temperature are fitted.
            fitted: metrics with the same `fingerprint`, whose threshold and temperature are used.
        """
        scorer = spark_scorer.build_scorer(
            spark, dataset, self.model_info, self.model, self.settings
        )
        if fitted is not None and fitted.temperature is not None:
            return fit_thresholds.use_fitted(scorer, fitted.threshold, fitted.temperature)
        folder = storage.join(self.output, PREDICTIONS, self._validation_name(data))
        return fit_thresholds.fit_scorer(scorer, self.settings, data, folder)

    def _validation_name(self, data: Optional[Manifest]) -> str:
        """Return a folder name for predictions that are not scaled, of the validation split."""
        parts = [self.model_info.version, data.fingerprint if data else None]
        if self.settings.views != NO_VIEWS:
            parts.append(self.settings.views)
        return f"validation-{scores_directory.hash_parts(*parts)}"

    def count_mismatch(self, message: str) -> RunError:
        """Return the error for predictions that are not as many as there are images: a bug.

        The same command would fail again. Another output keeps no predictions of earlier runs.
        """
        return RunError(
            f"{message}; this is a bug. Nothing was published; try another --output than "
            f"{self.output}, and report it"
        )

    def provenance(self) -> dict[str, Any]:
        """Return the keys of metrics.json that say which model scored, when and for how long."""
        return {
            "model_version": self.model_info.version,
            "scored_at": datetime.now(timezone.utc).isoformat(timespec="seconds"),
            "secs": round(time.monotonic() - self.started, 3),
        }


def start_scoring(config: Config, model: str, output: str) -> ScoringJob:
    """Read the model at `model`, and start the clock.

    Raises:
        InputError: there is no model, its weights are not finite, or its images are too small for
            score.views.
    """
    started = time.monotonic()
    model, output = map(storage.normalise_url, (model, output))
    model_info = model_directory.read_model_info(model)
    views.check_image_size(config.score.views, *model_info.shape()[:2])
    model_directory.check_network(model, model_info)
    return ScoringJob(config, model, model_info, output, started)
