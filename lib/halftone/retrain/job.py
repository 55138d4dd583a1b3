"""What a night needs: the config, checked before any work, and places below its folder."""

from __future__ import annotations

from typing import Any, Callable, NamedTuple

from pyspark.sql import SparkSession

from halftone import storage
from halftone.config import Config, RetrainSettings, require_path
from halftone.errors import InputError
from halftone.retrain import notify
from halftone.retrain.registry import ModelRegistry
from halftone.scoring import scores_directory

# Settings that change how a night goes about it, and not what comes of it.
_NEUTRAL_SETTINGS = {
    "folder",
    "keep",
    "lock_secs",
    "max_attempts",
    "fail_on_refusal",
    "webhook",
    "prune",
}


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
        """The config of a training: without what a model's card must not tell."""
        return self.config.model_copy(update={"retrain": RetrainSettings()})

    def fingerprint(self, dataset_fingerprint: str) -> str:
        """Name all that decides what a night ends with, but for the champion."""
        own = self.settings.model_dump(mode="json", exclude={*_NEUTRAL_SETTINGS, "outcome_file"})
        parts: list[dict[str, Any]] = [
            section.model_dump(mode="json") for section in (self.config.train, self.config.score)
        ]
        return scores_directory.hash_parts(
            dataset_fingerprint, self.config.seed, own, self.registry.name, *parts
        )


def create_job(
    config: Config,
    session: Callable[[], SparkSession],
    *,
    accept_drift: bool = False,
    dry_run: bool = False,
) -> RetrainJob:
    """Raises InputError where a setting is missing, or does not serve retraining."""
    settings = config.retrain
    if not settings.folder:
        raise InputError("retrain.folder is not set; give it in the config file or with --set")
    if config.score.split == "train":
        raise InputError(
            "score.split is train: models would be judged on what they have seen; use test"
        )
    if config.score.split == "test" and not (
        config.splits.test_fraction or config.splits.from_path or config.preprocess.catalogue
    ):
        raise InputError(
            "splits.test_fraction is 0, which leaves no test rows to judge models on; raise it"
        )
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
