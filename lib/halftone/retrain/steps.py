"""The work of a night's steps: each can be done again where it was killed on the way."""

from __future__ import annotations

from typing import Callable, Optional

from halftone import storage, summary
from halftone.dataset import manifest
from halftone.launch.train import train as train_model
from halftone.preprocess.run import preprocess
from halftone.retrain.gate import compare
from halftone.retrain.job import Job
from halftone.retrain.registry import CHALLENGER, CHAMPION, Version
from halftone.retrain.state import snapshot
from halftone.retrain.state.journal import Entry
from halftone.retrain.state.lock import Lock

MODEL = "model"
FETCHED = "champion"


def begin(job: Job) -> Entry:
    """Note what there is before anything is taken in."""
    return {"settings": job.basis(""), **_counts(job.dataset)}


def take_in(job: Job, begun: Entry) -> Entry:
    """Bring the dataset up to date."""
    made, num_read = preprocess(
        job.config, job.images, job.dataset, job.session, prune=job.settings.prune
    )
    if num_read:
        print(summary.of_dataset(made, job.dataset, num_read), flush=True)
    # After a kill between publishing and the journal nothing is read any more.
    new = max(num_read, made.inputs - begun["images"])
    return {
        **_counts(job.dataset),
        "new_images": new,
        "new_rejects": min(new, max(0, made.rejects - begun["rejects"])),
        "basis": job.basis(made.fingerprint),
    }


def keep(job: Job) -> Entry:
    """Keep the dataset as it is now."""
    data = manifest.read(job.dataset)
    return {"dataset": snapshot.take(job.dataset, data, job.root)}


def start(job: Job, dataset: str) -> Entry:
    """Say who is champion, and where the training's first weights are from."""
    champion = job.registry.champion()
    if champion is None:
        return {"champion": None, "weights": None, "why": "there is no champion yet"}
    copy = _fetched(job, champion)
    why = "retrain.start is scratch"
    if job.settings.start == "champion":
        why = compare.first_weights(job, copy, dataset)
    return {"champion": champion.number, "weights": None if why else copy, "why": why}


def train(job: Job, folder: str, dataset: str, begun: Entry) -> Entry:
    """Train in the night's folder.

    Args:
        begun: as `start` returns it.
    """
    config = job.training()
    if begun["weights"]:
        print(f"training with the weights of champion {begun['champion']}", flush=True)
        settings = config.train.model_copy(update={"start_from": begun["weights"]})
        config = config.model_copy(update={"train": settings})
    else:
        print(f"training from scratch: {begun['why']}", flush=True)
    model = storage.join(folder, MODEL)
    card = train_model(config, dataset, model, job.session)
    print(summary.of_model(card, model), flush=True)
    return {"model": model, "digest": card.version}


def register(job: Job, folder: str, model: str) -> Entry:
    """Make the model a version, and the challenger."""
    config = job.config
    made = job.registry.register(model, folder, config.tracking.experiment or config.name)
    job.registry.point(CHALLENGER, made)
    print(f"the challenger is version {made.number} of {job.registry}", flush=True)
    return {"version": made.number}


def score(job: Job, folder: str, dataset: str, model: str, champion: Optional[str]) -> Entry:
    """Score both on the same rows."""
    version = _version(job, champion)
    copy = _fetched(job, version) if version else None
    scored = compare.score(job, folder, dataset, model, copy)
    return {**scored, "measures": compare.measures(scored)}


def decide(job: Job, scored: Entry, champion: Optional[str], challenger: str) -> Entry:
    """Ask the gate."""
    decided = compare.decide(job, scored, _version(job, champion), challenger)
    return {
        "action": decided.action,
        "reason": decided.reason,
        "rows": decided.rows._asdict() if decided.rows else None,
        "known": decided.known._asdict() if decided.known else None,
    }


def promote(job: Job, lock: Lock, champion: Optional[str], challenger: str) -> Entry:
    """Make the challenger champion, unless the champion is another than it was judged against."""
    found, made = job.registry.champion(), _version(job, challenger)
    now = found.number if found else None
    if made is None or now not in (champion, challenger):
        return {
            "void": f"the champion was {champion} when the night began, and is {now} now; nothing "
            "was changed, and the next call begins anew"
        }
    point(job.registry.point, lock, made)
    return {"void": "", "from": champion, "to": made.number}


def point(set_alias: Callable[[str, Version], None], lock: Lock, version: Version) -> None:
    """Make a version champion, if the lock is still ours right before.

    Between that look and the change lie milliseconds in which a process could fall asleep, wake
    after it was taken over, and go through with it. No registry of MLflow's asks for a fencing
    number, so the look behind at least says so.
    """
    lock.check()
    set_alias(CHAMPION, version)
    lock.check()


def _version(job: Job, number: Optional[str]) -> Optional[Version]:
    return job.registry.version(number) if number else None


def _fetched(job: Job, champion: Version) -> str:
    return job.registry.fetch(champion, storage.join(job.root, FETCHED))


def _counts(dataset: str) -> Entry:
    """What a dataset holds; nothing where there is none yet."""
    if not storage.exists(storage.join(dataset, manifest.NAME)):
        return {"dataset_version": 0, "images": 0, "rejects": 0, "rows": 0, "fingerprint": ""}
    data = manifest.read(dataset)
    return {
        "dataset_version": data.version,
        "images": data.inputs,
        "rejects": data.rejects,
        "rows": data.rows,
        "fingerprint": data.fingerprint,
    }
