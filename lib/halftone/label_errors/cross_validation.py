"""Predict each image by a model that was not trained on it: an experiment with folds.

The experiment makes a dataset for each fold, trains a model on it and scores its validation split.
It is resumed as any other: finished folds are kept.
"""

from __future__ import annotations

from typing import NamedTuple

from halftone import storage
from halftone.config import Config, Paths, RetrainSettings, ScoreSettings
from halftone.dataset import manifest
from halftone.dataset.manifest import Manifest
from halftone.dataset.splits import VALIDATION
from halftone.experiment import command, datasets, spec, trial
from halftone.experiment.planning import RunPlanner
from halftone.scoring import scores_directory

DEFAULT_FOLDS = 5
FOLDER = "cross_validation"  # of the experiment, below the output of the job
_RUN = "folds"


class FoldScores(NamedTuple):
    """The predictions of one fold's model for the rows that it was not trained on."""

    fold: int
    dataset: str  # URL
    data: Manifest
    shards: list[str]  # URLs of the validation split, without those that have no rows
    predictions: list[str]  # URL of the predictions of each shard
    run: str  # names what the scores depend on


def run_folds(config: Config, output: str) -> list[FoldScores]:
    """Train and score all folds that are not finished.

    Args:
        config: the whole config, with `paths.images`.
        output: URL of the output of the job.

    Raises:
        InputError: settings or images are invalid; no training has started.
        RunError: a training failed; the same call continues.
        KeyboardInterrupt: a signal was received; the same call continues.
    """
    base = fold_settings(config)
    content = {
        "name": config.name,
        "about": "out-of-fold predictions, to find wrong labels",
        "folds": config.splits.folds or DEFAULT_FOLDS,
        "score": [VALIDATION],
        "base": base.model_dump(mode="json"),
        "runs": [{"name": _RUN}],
    }
    source = "the job's config"
    experiment = spec.parse_spec(content, source)
    planner = RunPlanner(experiment, source)
    planned = planner.plan_stages()
    experiment_output = storage.join(output, FOLDER)
    (stage,) = command.run_planned(experiment, planner, planned, experiment_output)
    (outcome,) = stage.outcomes
    return [
        _read_fold(
            number,
            datasets.dataset_url(experiment_output, fold_config),
            storage.join(outcome.folder, f"fold-{number}", trial.scores_folder(VALIDATION)),
        )
        for number, fold_config in enumerate(outcome.trial.training_configs())
    ]


def fold_settings(config: Config) -> Config:
    """Return the settings of all folds: those of the job that decide about probabilities.

    The experiment sets the paths, and section `retrain` may contain secrets. A threshold does not
    change a probability, and may need a split that is not scored.
    """
    score = ScoreSettings(
        batch_size=config.score.batch_size,
        views=config.score.views,
        calibrate=config.score.calibrate,
    )
    splits = config.splits.model_copy(update={"folds": None, "fold": 0})
    return config.model_copy(
        update={
            "paths": Paths(images=config.paths.images),
            "splits": splits,
            "score": score,
            "retrain": RetrainSettings(),
        }
    )


def _read_fold(fold: int, dataset: str, scores_url: str) -> FoldScores:
    data = manifest.read_manifest(dataset)
    shards = [
        storage.join(dataset, file.path) for file in manifest.read_shards(dataset, data, VALIDATION)
    ]
    if not shards:  # a fold of a few groups may be empty, and is then not scored
        return FoldScores(fold, dataset, data, [], [], "")
    scores = scores_directory.read_split_scores(scores_url)
    urls = [storage.join(scores_url, file) for file in scores.predictions]
    return FoldScores(fold, dataset, data, shards, urls, scores.run)
