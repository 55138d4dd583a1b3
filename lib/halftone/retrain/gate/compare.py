"""Score champion and challenger on the same rows, and compare them."""

from __future__ import annotations

from typing import Any, Optional

from halftone import model_directory, storage, summary
from halftone.dataset import manifest
from halftone.errors import InputError
from halftone.metrics.model import SplitScores
from halftone.model_directory import ModelInfo
from halftone.retrain.gate import decision, paired_counts
from halftone.retrain.gate.decision import GateDecision, SlicePair
from halftone.retrain.job import RetrainJob
from halftone.retrain.registry import ModelVersion
from halftone.scoring import score_dataset, scores_directory

SCORES = "scores"
CHAMPION, CHALLENGER = "champion", "challenger"


def score_pair(
    job: RetrainJob, folder: str, dataset: str, model: str, champion: Optional[str]
) -> dict[str, Any]:
    """Score the champion, if it fits the dataset, and then the challenger with it as baseline.

    Args:
        job: the retraining job.
        folder: the run's folder.
        dataset: URL of the snapshot.
        model: the challenger's model directory.
        champion: the champion's model directory; None if there is no champion.

    Returns:
        `champion` and `challenger` (folders of scores; None if the champion was not scored) and
        `misfit` (why the champion was not scored, else "").
    """
    baseline = None
    misfit = ""
    if champion is not None:
        misfit = _mismatch_reason(champion, dataset)
        if not misfit:
            baseline = _scores_folder(folder, CHAMPION)
            print("scoring the champion", flush=True)
            _score_model(job, dataset, champion, baseline, None)
    print("scoring the challenger", flush=True)
    _score_model(job, dataset, model, _scores_folder(folder, CHALLENGER), baseline)
    challenger = _scores_folder(folder, CHALLENGER)
    return {"champion": baseline, "challenger": challenger, "misfit": misfit}


def compare_models(
    job: RetrainJob, score_entry: dict[str, Any], champion: Optional[ModelVersion], challenger: str
) -> GateDecision:
    """Decide whether the challenger is promoted.

    Args:
        job: the retraining job.
        score_entry: what `score_pair` returned.
        champion: None if there is no champion.
        challenger: version number of the challenger.
    """
    settings = job.settings.gate
    challenger_scores = scores_directory.read_split_scores(score_entry["challenger"])
    if champion is None:
        value = getattr(challenger_scores, settings.measure)
        return decision.decide_without_comparison(
            value, settings, "the first model", challenger_scores.slices
        )
    if score_entry["misfit"]:
        return GateDecision(
            decision.KEEP,
            f"cannot be compared with the champion: {score_entry['misfit']}. To promote it anyway, "
            f"use --promote {challenger}",
        )
    known = set()
    if champion.retrain_run_folder:
        own_test = _scores_folder(champion.retrain_run_folder, CHALLENGER)
        if storage.exists(storage.join(own_test, scores_directory.METRICS)):
            known = paired_counts.read_keys(prediction_files(own_test))
    both = paired_counts.count_pairs(
        challenger_scores.labels,
        prediction_files(score_entry["champion"]),
        prediction_files(score_entry["challenger"]),
        known,
    )
    champion_scores = scores_directory.read_split_scores(score_entry["champion"])
    slices = SlicePair(champion_scores.slices, challenger_scores.slices)
    return decision.decide_promotion(both, challenger_scores.labels, settings, slices)


def read_measures(score_entry: dict[str, Any]) -> dict[str, Any]:
    """Return accuracy, F1 and loss of both models."""
    return {
        side: _measures(scores_directory.read_split_scores(score_entry[side]))
        for side in (CHAMPION, CHALLENGER)
        if score_entry[side]
    }


def weights_mismatch_reason(job: RetrainJob, champion: str, dataset: str) -> str:
    """Return why training on the dataset cannot start from the champion's weights; "" if it can."""
    mismatch = _mismatch_reason(champion, dataset)
    if mismatch:
        return mismatch
    ours, theirs = (
        (train.model.model_dump(exclude={"weights"}), train.normalise)
        for train in (job.config.train, model_directory.read_model_info(champion).config.train)
    )
    if ours != theirs:
        return "the champion has another train.model or train.normalise"
    return ""


def _mismatch_reason(champion: str, dataset: str) -> str:
    """Return why the champion cannot score the dataset; "" if it can."""
    model_info: ModelInfo = model_directory.read_model_info(champion)
    dataset_manifest = manifest.read_manifest(dataset)
    if model_info.pixels != dataset_manifest.pixels.without_lossless_encoding():
        return "the champion's pixel format is different"
    unmatched = sorted({*model_info.labels} ^ {*dataset_manifest.labels})
    if unmatched:
        return f"only one of champion and dataset has the classes {', '.join(unmatched)}"
    try:
        model_directory.check_model_fits(model_info, dataset_manifest, champion, dataset)
    except InputError as error:
        return str(error)
    return ""


def _score_model(
    job: RetrainJob, dataset: str, model: str, output: str, baseline: Optional[str]
) -> None:
    paths = job.config.paths.model_copy(update={"baseline": baseline})
    config = job.config.model_copy(update={"paths": paths})
    result = score_dataset.score_dataset(config, dataset, model, output, job.session)
    print(summary.format_scores_summary(result, output), flush=True)


def prediction_files(folder: str) -> list[str]:
    """Return the URLs of the predictions in a folder of scores, in the order of the shards."""
    files = scores_directory.read_split_scores(folder).predictions
    return [storage.join(folder, file) for file in files]


def _measures(scores: SplitScores) -> dict[str, float]:
    return {"accuracy": scores.accuracy, "f1": scores.f1, "loss": scores.loss}


def _scores_folder(folder: str, side: str) -> str:
    return storage.join(folder, SCORES, side)
