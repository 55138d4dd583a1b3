"""Champion and challenger on the same rows: both scored, and what the gate says."""

from __future__ import annotations

from typing import Any, Optional

from halftone import model_directory, storage, summary
from halftone.dataset import manifest
from halftone.errors import InputError
from halftone.metrics.model import SplitScores
from halftone.model_directory import ModelInfo
from halftone.retrain.gate import decision, paired_counts
from halftone.retrain.gate.decision import GateDecision
from halftone.retrain.job import RetrainJob
from halftone.retrain.registry import ModelVersion
from halftone.scoring import score_dataset, scores_directory

SCORES = "scores"
CHAMPION, CHALLENGER = "champion", "challenger"


def score_pair(
    job: RetrainJob, folder: str, dataset: str, model: str, champion: Optional[str]
) -> dict[str, Any]:
    """Score the champion, where it can be, and then the challenger at `model`, beside it.

    Args:
        folder: the night's.
        champion: the champion's model directory; None where there is none.
    """
    baseline = None
    why = ""
    if champion is not None:
        why = _mismatch_reason(champion, dataset)
        if not why:
            baseline = _scores_folder(folder, CHAMPION)
            print("scoring the champion", flush=True)
            _score_model(job, dataset, champion, baseline, None)
    print("scoring the challenger", flush=True)
    _score_model(job, dataset, model, _scores_folder(folder, CHALLENGER), baseline)
    return {"champion": baseline, "challenger": _scores_folder(folder, CHALLENGER), "misfit": why}


def compare_models(
    job: RetrainJob, score_entry: dict[str, Any], champion: Optional[ModelVersion], challenger: str
) -> GateDecision:
    """Ask the gate.

    Args:
        scored: as `score` returns it.
        champion: None where there is none.
        challenger: its version in MLflow.
    """
    settings = job.settings.gate
    challenger_scores = scores_directory.read_split_scores(score_entry["challenger"])
    if champion is None:
        return decision.decide_without_comparison(
            challenger_scores.to_json(), settings, "the first model"
        )
    if score_entry["misfit"]:
        return GateDecision(
            decision.KEEP,
            f"cannot be compared with the champion: {score_entry['misfit']}. If it shall be "
            f"champion: --promote {challenger}",
        )
    known = set()
    if champion.retrain_run_folder:
        own_test = _scores_folder(champion.retrain_run_folder, CHALLENGER)
        if storage.exists(storage.join(own_test, scores_directory.METRICS)):
            own_scores = scores_directory.read_split_scores(own_test)
            known = paired_counts.read_keys(own_test, own_scores.to_json())
    champion_scores = scores_directory.read_split_scores(score_entry["champion"])
    both = paired_counts.count_pairs(
        score_entry["champion"],
        champion_scores.to_json(),
        score_entry["challenger"],
        challenger_scores.to_json(),
        known,
    )
    return decision.decide_promotion(both, challenger_scores.labels, settings)


def read_measures(score_entry: dict[str, Any]) -> dict[str, Any]:
    """Accuracy, F1 and loss of both."""
    return {
        side: _measures(scores_directory.read_split_scores(score_entry[side]))
        for side in (CHAMPION, CHALLENGER)
        if score_entry[side]
    }


def weights_mismatch_reason(job: RetrainJob, champion: str, dataset: str) -> str:
    """Why a training on the dataset cannot begin with the champion's weights; "" where it can."""
    misfit = _mismatch_reason(champion, dataset)
    if misfit:
        return misfit
    settings, theirs = job.config.train, model_directory.read_model_info(champion).config.train
    if (settings.model, settings.normalise) != (theirs.model, theirs.normalise):
        return "the champion has another train.model or train.normalise"
    return ""


def _mismatch_reason(model: str, dataset: str) -> str:
    """Why the model cannot score the dataset; an empty text where it can."""
    card: ModelInfo = model_directory.read_model_info(model)
    data = manifest.read_manifest(dataset)
    if card.pixels != data.pixels:
        return "its pixels are others"
    others = sorted({*card.labels} ^ {*data.labels})
    if others:
        return f"only one of both knows {', '.join(others)}"
    try:
        model_directory.check_model_fits(card, data, model, dataset)
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


def _measures(scores: SplitScores) -> dict[str, float]:
    return {"accuracy": scores.accuracy, "f1": scores.f1, "loss": scores.loss}


def _scores_folder(folder: str, side: str) -> str:
    return storage.join(folder, SCORES, side)
