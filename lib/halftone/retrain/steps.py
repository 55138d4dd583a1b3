"""The work of a night's steps: each can be done again where it was killed on the way."""

from __future__ import annotations

from typing import Callable, Optional

from halftone import storage, summary
from halftone.dataset import manifest
from halftone.launch.train import train_model
from halftone.preprocess.run import preprocess
from halftone.retrain.gate import compare
from halftone.retrain.job import RetrainJob
from halftone.retrain.registry import CHALLENGER, CHAMPION, ModelVersion
from halftone.retrain.state import snapshot
from halftone.retrain.state.journal import JournalEntry
from halftone.retrain.state.lock import Lock

MODEL = "model"
CHAMPION_FOLDER = "champion"


def read_initial_state(job: RetrainJob) -> JournalEntry:
    """Note what there is before anything is taken in."""
    return {"settings": job.fingerprint(""), **_dataset_counts(job.dataset)}


def update_dataset(job: RetrainJob, begin_entry: JournalEntry) -> JournalEntry:
    """Bring the dataset up to date."""
    made, num_read = preprocess(
        job.config, job.images, job.dataset, job.session, prune=job.settings.prune
    )
    if num_read:
        print(summary.format_dataset_summary(made, job.dataset, num_read), flush=True)
    # After a kill between publishing and the journal nothing is read any more.
    new = max(num_read, made.inputs - begin_entry["images"])
    return {
        **_dataset_counts(job.dataset),
        "new_images": new,
        "new_rejects": min(new, max(0, made.rejects - begin_entry["rejects"])),
        "basis": job.fingerprint(made.fingerprint),
    }


def snapshot_dataset(job: RetrainJob) -> JournalEntry:
    """Keep the dataset as it is now."""
    data = manifest.read_manifest(job.dataset)
    return {"dataset": snapshot.take_snapshot(job.dataset, data, job.root)}


def choose_start_weights(job: RetrainJob, dataset: str) -> JournalEntry:
    """Say who is champion, and where the training's first weights are from."""
    champion = job.registry.champion()
    if champion is None:
        return {"champion": None, "weights": None, "why": "there is no champion yet"}
    copy = _fetch_model(job, champion)
    why = "retrain.start is scratch"
    if job.settings.start == "champion":
        why = compare.weights_mismatch_reason(job, copy, dataset)
    return {"champion": champion.number, "weights": None if why else copy, "why": why}


def train_challenger(
    job: RetrainJob, folder: str, dataset: str, start_entry: JournalEntry
) -> JournalEntry:
    """Train in the night's folder.

    Args:
        begun: as `start` returns it.
    """
    config = job.training_config()
    if start_entry["weights"]:
        print(f"training with the weights of champion {start_entry['champion']}", flush=True)
        settings = config.train.model_copy(update={"start_from": start_entry["weights"]})
        config = config.model_copy(update={"train": settings})
    else:
        print(f"training from scratch: {start_entry['why']}", flush=True)
    model = storage.join(folder, MODEL)
    card = train_model(config, dataset, model, job.session)
    print(summary.format_model_summary(card, model), flush=True)
    return {"model": model, "digest": card.version}


def register_challenger(job: RetrainJob, folder: str, model: str) -> JournalEntry:
    """Make the model a version, and the challenger."""
    config = job.config
    made = job.registry.register(model, folder, config.tracking.experiment or config.name)
    job.registry.set_alias(CHALLENGER, made)
    print(f"the challenger is version {made.number} of {job.registry}", flush=True)
    return {"version": made.number}


def score_models(
    job: RetrainJob, folder: str, dataset: str, model: str, champion: Optional[str]
) -> JournalEntry:
    """Score both on the same rows."""
    version = _find_version(job, champion)
    copy = _fetch_model(job, version) if version else None
    scored = compare.score_pair(job, folder, dataset, model, copy)
    return {**scored, "measures": compare.read_measures(scored)}


def apply_gate(
    job: RetrainJob, score_entry: JournalEntry, champion: Optional[str], challenger: str
) -> JournalEntry:
    """Ask the gate."""
    decided = compare.compare_models(job, score_entry, _find_version(job, champion), challenger)
    return {
        "action": decided.action,
        "reason": decided.reason,
        "rows": decided.rows._asdict() if decided.rows else None,
        "known": decided.known_rows._asdict() if decided.known_rows else None,
    }


def promote_challenger(
    job: RetrainJob, lock: Lock, champion: Optional[str], challenger: str
) -> JournalEntry:
    """Make the challenger champion, unless the champion is another than it was judged against."""
    found, made = job.registry.champion(), _find_version(job, challenger)
    now = found.number if found else None
    if made is None or now not in (champion, challenger):
        return {
            "void": f"the champion was {champion} when the night began, and is {now} now; nothing "
            "was changed, and the next call begins anew"
        }
    set_champion(job.registry.set_alias, lock, made)
    return {"void": "", "from": champion, "to": made.number}


def set_champion(
    set_alias: Callable[[str, ModelVersion], None], lock: Lock, version: ModelVersion
) -> None:
    """Make a version champion, if the lock is still ours right before.

    Between that look and the change lie milliseconds in which a process could fall asleep, wake
    after it was taken over, and go through with it. No registry of MLflow's asks for a fencing
    number, so the look behind at least says so.
    """
    lock.check()
    set_alias(CHAMPION, version)
    lock.check()


def _find_version(job: RetrainJob, number: Optional[str]) -> Optional[ModelVersion]:
    return job.registry.version(number) if number else None


def _fetch_model(job: RetrainJob, champion: ModelVersion) -> str:
    return job.registry.fetch(champion, storage.join(job.root, CHAMPION_FOLDER))


def _dataset_counts(dataset: str) -> JournalEntry:
    """What a dataset holds; nothing where there is none yet."""
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
