"""Champion and challenger on the same rows: both scored, and what the gate says."""

from __future__ import annotations

from typing import Any, Optional

from halftone import model_directory, storage, summary
from halftone.dataset import manifest
from halftone.errors import InputError
from halftone.model_directory import Card
from halftone.retrain.gate import decision, paired_counts
from halftone.retrain.gate.decision import Decision
from halftone.retrain.job import Job
from halftone.retrain.registry import Version
from halftone.scoring import score_dataset, scores_directory

SCORES = "scores"
CHAMPION, CHALLENGER = "champion", "challenger"
_MEASURES = ("accuracy", "f1", "loss")


def score(
    job: Job, folder: str, dataset: str, model: str, champion: Optional[str]
) -> dict[str, Any]:
    """Score the champion, where it can be, and then the challenger at `model`, beside it.

    Args:
        folder: the night's.
        champion: the champion's model directory; None where there is none.
    """
    baseline = None
    why = ""
    if champion is not None:
        why = _misfit(champion, dataset)
        if not why:
            baseline = _place(folder, CHAMPION)
            print("scoring the champion", flush=True)
            _score(job, dataset, champion, baseline, None)
    print("scoring the challenger", flush=True)
    _score(job, dataset, model, _place(folder, CHALLENGER), baseline)
    return {"champion": baseline, "challenger": _place(folder, CHALLENGER), "misfit": why}


def decide(
    job: Job, scored: dict[str, Any], champion: Optional[Version], challenger: str
) -> Decision:
    """Ask the gate.

    Args:
        scored: as `score` returns it.
        champion: None where there is none.
        challenger: its version in MLflow.
    """
    settings, ours = job.settings.gate, _metrics(scored["challenger"])
    if champion is None:
        return decision.alone(ours, settings, "the first model")
    if scored["misfit"]:
        return Decision(
            decision.KEEP,
            f"cannot be compared with the champion: {scored['misfit']}. If it shall be champion: "
            f"--promote {challenger}",
        )
    known = set()
    if champion.night:
        own_test = _place(champion.night, CHALLENGER)
        if storage.exists(storage.join(own_test, scores_directory.METRICS)):
            known = paired_counts.keys(own_test, _metrics(own_test))
    theirs = _metrics(scored["champion"])
    both = paired_counts.read(scored["champion"], theirs, scored["challenger"], ours, known)
    return decision.decide(both, ours["labels"], settings)


def measures(scored: dict[str, Any]) -> dict[str, Any]:
    """Accuracy, F1 and loss of both."""
    return {
        side: {name: _metrics(scored[side])[name] for name in _MEASURES}
        for side in (CHAMPION, CHALLENGER)
        if scored[side]
    }


def first_weights(job: Job, champion: str, dataset: str) -> str:
    """Why a training on the dataset cannot begin with the champion's weights; "" where it can."""
    misfit = _misfit(champion, dataset)
    if misfit:
        return misfit
    settings, theirs = job.config.train, model_directory.read_card(champion).config.train
    if (settings.model, settings.normalise) != (theirs.model, theirs.normalise):
        return "the champion has another train.model or train.normalise"
    return ""


def _misfit(model: str, dataset: str) -> str:
    """Why the model cannot score the dataset; an empty text where it can."""
    card: Card = model_directory.read_card(model)
    data = manifest.read(dataset)
    if card.pixels != data.pixels:
        return "its pixels are others"
    others = sorted({*card.labels} ^ {*data.labels})
    if others:
        return f"only one of both knows {', '.join(others)}"
    try:
        model_directory.check_fits(card, data, model, dataset)
    except InputError as error:
        return str(error)
    return ""


def _score(job: Job, dataset: str, model: str, output: str, baseline: Optional[str]) -> None:
    paths = job.config.paths.model_copy(update={"baseline": baseline})
    config = job.config.model_copy(update={"paths": paths})
    result = score_dataset.score(config, dataset, model, output, job.session)
    print(summary.of_scores(result, output), flush=True)


def _metrics(folder: str) -> dict[str, Any]:
    found: dict[str, Any] = storage.read_json(storage.join(folder, scores_directory.METRICS))
    return found


def _place(folder: str, side: str) -> str:
    return storage.join(folder, SCORES, side)
