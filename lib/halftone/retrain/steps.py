"""The work of each step of a retraining run. A step that was killed can be repeated safely."""

from __future__ import annotations

from typing import Callable, Optional

from halftone import storage, summary
from halftone.dataset import manifest
from halftone.launch.train import train_model
from halftone.locking.lock import Lock
from halftone.preprocess.run import preprocess
from halftone.retrain.gate import compare
from halftone.retrain.job import RetrainJob
from halftone.retrain.registry import CHALLENGER, CHAMPION, ModelVersion
from halftone.retrain.state import snapshot
from halftone.retrain.state.journal import JournalEntry

MODEL = "model"


def read_initial_state(job: RetrainJob) -> JournalEntry:
    """Return the settings' fingerprint and the dataset's counts before preprocessing."""
    return {"settings": job.fingerprint(""), **_dataset_counts(job.dataset)}


def update_dataset(job: RetrainJob, begin_entry: JournalEntry) -> JournalEntry:
    """Preprocess new and changed images; return the dataset's new counts."""
    new_manifest, num_changed = preprocess(
        job.config, job.images, job.dataset, job.session, prune=job.settings.prune
    )
    if num_changed:
        print(summary.format_dataset_summary(new_manifest, job.dataset, num_changed), flush=True)
    # num_changed is 0 if an earlier attempt was killed after it published the dataset.
    num_new = max(num_changed, new_manifest.inputs - begin_entry["images"])
    return {
        **_dataset_counts(job.dataset),
        "new_images": num_new,
        "new_rejects": min(num_new, max(0, new_manifest.rejects - begin_entry["rejects"])),
        "basis": job.fingerprint(new_manifest.fingerprint),
    }


def snapshot_dataset(job: RetrainJob) -> JournalEntry:
    """Take a snapshot of the current version of the dataset."""
    data = manifest.read_manifest(job.dataset)
    return {"dataset": snapshot.take_snapshot(job.dataset, data, job.root)}


def choose_start_weights(job: RetrainJob, dataset: str) -> JournalEntry:
    """Look up the champion and decide which weights the training starts from.

    Returns:
        `champion` (version number or None), `weights` (model directory to start from; None trains
        from scratch) and `why` (the reason for training from scratch, else "").
    """
    champion = job.registry.champion()
    if champion is None:
        return {"champion": None, "weights": None, "why": "there is no champion yet"}
    copy = job.fetch_model(champion)
    why = "retrain.start is scratch"
    if job.settings.start == "champion":
        why = compare.weights_mismatch_reason(job, copy, dataset)
    return {"champion": champion.number, "weights": None if why else copy, "why": why}


def train_challenger(
    job: RetrainJob, folder: str, dataset: str, start_entry: JournalEntry
) -> JournalEntry:
    """Train a model in the run's folder.

    Args:
        folder: the run's folder.
        dataset: URL of the snapshot to train on.
        start_entry: what `choose_start_weights` returned.
    """
    config = job.training_config()
    if start_entry["weights"]:
        print(f"training with the weights of champion {start_entry['champion']}", flush=True)
        train_settings = config.train.model_copy(update={"start_from": start_entry["weights"]})
        config = config.model_copy(update={"train": train_settings})
    else:
        print(f"training from scratch: {start_entry['why']}", flush=True)
    model = storage.join(folder, MODEL)
    model_info = train_model(config, dataset, model, job.session)
    print(summary.format_model_summary(model_info, model), flush=True)
    return {"model": model, "digest": model_info.version}


def register_challenger(job: RetrainJob, folder: str, model: str) -> JournalEntry:
    """Register the model as a new version and give it the challenger alias."""
    config = job.config
    version = job.registry.register(model, folder, config.tracking.experiment or config.name)
    job.registry.set_alias(CHALLENGER, version)
    print(f"the challenger is version {version.number} of {job.registry}", flush=True)
    return {"version": version.number}


def score_models(
    job: RetrainJob, folder: str, dataset: str, model: str, champion: Optional[str]
) -> JournalEntry:
    """Score champion and challenger on the same rows."""
    version = _find_version(job, champion)
    champion_copy = job.fetch_model(version) if version else None
    score_entry = compare.score_pair(job, folder, dataset, model, champion_copy)
    return {**score_entry, "measures": compare.read_measures(score_entry)}


def apply_gate(
    job: RetrainJob, score_entry: JournalEntry, champion: Optional[str], challenger: str
) -> JournalEntry:
    """Let the gate decide whether the challenger is promoted."""
    decision = compare.compare_models(job, score_entry, _find_version(job, champion), challenger)
    return {
        "action": decision.action,
        "reason": decision.reason,
        "rows": decision.rows._asdict() if decision.rows else None,
        "known": decision.known_rows._asdict() if decision.known_rows else None,
    }


def promote_challenger(
    job: RetrainJob, lock: Lock, champion: Optional[str], challenger: str
) -> JournalEntry:
    """Make the challenger champion, unless the champion has changed since the comparison."""
    current_champion = job.registry.champion()
    new_champion = _find_version(job, challenger)
    current = current_champion.number if current_champion else None
    if new_champion is None or current not in (champion, challenger):
        return {
            "void": f"the champion was {champion} when the run began, and is {current} now; "
            "nothing was changed, and the next call starts a new run"
        }
    set_champion(job.registry.set_alias, lock, new_champion)
    return {"void": "", "from": champion, "to": new_champion.number}


def set_champion(
    set_alias: Callable[[str, ModelVersion], None], lock: Lock, version: ModelVersion
) -> None:
    """Make a version champion, provided that this process still holds the lock.

    A process could be suspended in the milliseconds between the check and the change, lose the
    lock, and change the alias when it resumes. MLflow registries do not accept fencing numbers,
    so the second check at least reports that case.

    Raises:
        LockLostError: another process has taken the lock over.
    """
    lock.check()
    set_alias(CHAMPION, version)
    lock.check()


def _find_version(job: RetrainJob, number: Optional[str]) -> Optional[ModelVersion]:
    return job.registry.version(number) if number else None


def _dataset_counts(dataset: str) -> JournalEntry:
    """Return counts of a dataset, all zero if it does not exist yet."""
    if not storage.exists(storage.join(dataset, manifest.MANIFEST_NAME)):
        return {"dataset_version": 0, "images": 0, "rejects": 0, "rows": 0, "fingerprint": ""}
    data = manifest.read_manifest(dataset)
    return {
        "dataset_version": data.version,
        "images": data.inputs,
        "rejects": data.rejects,
        "rows": data.rows,
        "fingerprint": data.fingerprint,
    }
