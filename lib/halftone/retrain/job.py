"""The job of a retraining run: the config, checked before any work, and the URLs it works on."""

from __future__ import annotations

from typing import Callable, NamedTuple

from pyspark.sql import SparkSession

from halftone import storage
from halftone.config import Config, RetrainSettings, check_written_dataset, require_path
from halftone.config.effects import (
    drop_added_defaults,
    reset_neutral_settings,
    result_settings,
)
from halftone.errors import InputError
from halftone.retrain import notify
from halftone.retrain.registry import ModelRegistry, ModelVersion
from halftone.scoring import scores_directory
from halftone.scoring.slice_plan import plan_slices

CHAMPION_FOLDER = "champion"  # copies of champions, below the root


class RetrainJob(NamedTuple):
    config: Config
    root: str  # retrain.folder
    images: str
    dataset: str
    registry: ModelRegistry
    session: Callable[[], SparkSession]
    accept_drift: bool = False
    dry_run: bool = False

    @property
    def settings(self) -> RetrainSettings:
        return self.config.retrain

    def training_config(self) -> Config:
        """Return the config for training, without section `retrain`.

        model.json stores this config, and section `retrain` may contain secrets.
        """
        return self.config.model_copy(update={"retrain": RetrainSettings()})

    def fetch_model(self, version: ModelVersion) -> str:
        """Copy the model of a version below the root, once; return the URL of the copy."""
        return self.registry.fetch(version, storage.join(self.root, CHAMPION_FOLDER))

    def fingerprint(self, dataset_fingerprint: str) -> str:
        """Hash everything that the result of a run depends on, except the champion."""
        config = reset_neutral_settings(self.config)
        return scores_directory.hash_parts(
            dataset_fingerprint,
            config.seed,
            drop_added_defaults(self.settings, result_settings(self.settings)),
            self.registry.name,
            *(
                drop_added_defaults(section, section.model_dump(mode="json"))
                for section in (config.train, config.score)
            ),
        )


def create_job(
    config: Config,
    session: Callable[[], SparkSession],
    *,
    accept_drift: bool = False,
    dry_run: bool = False,
) -> RetrainJob:
    """Build the job from a config.

    Args:
        config: the whole config.
        session: returns the SparkSession; called only if it is needed.
        accept_drift: whether drifted images are accepted as normal.
        dry_run: whether the run ends before promotion.

    Raises:
        InputError: a setting is missing or not suitable for retraining.
    """
    settings = config.retrain
    if not settings.folder:
        raise InputError("retrain.folder is not set; give it in the config file or with --set")
    if config.score.split == "train":
        raise InputError(
            "score.split is train: models would be compared on rows that they were trained on; "
            "use test"
        )
    if config.score.split == "test" and not (
        config.splits.test_fraction or config.splits.from_path or config.preprocess.catalogue
    ):
        raise InputError(
            "splits.test_fraction is 0, which leaves no test rows to compare models on; raise it"
        )
    if settings.gate.uses_slices and not config.score.slices:
        raise InputError(
            "retrain.gate.slice_floor or max_slice_drop is set, and score.slices names no columns; "
            "name them, or leave these settings out"
        )
    check_written_dataset(config.paths.dataset)
    notify.check_webhook(settings)
    return RetrainJob(
        config,
        storage.normalise_url(settings.folder),
        storage.normalise_url(require_path(config.paths.images, "images", "--input")),
        storage.normalise_url(require_path(config.paths.dataset, "dataset", "--output")),
        ModelRegistry(config.tracking, settings.registered_model or config.name),
        session,
        accept_drift,
        dry_run,
    )


def check_slices(job: RetrainJob) -> None:
    """Raise InputError if there is no catalogue with the columns of score.slices.

    A run would find that after its training. Promotions by hand need no catalogue.
    """
    plan_slices(job.config.score, job.config.preprocess.catalogue, job.images)
