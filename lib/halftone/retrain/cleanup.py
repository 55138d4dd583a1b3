"""Remove what of earlier nights nobody needs: models, scores, versions in MLflow, datasets."""

from __future__ import annotations

from datetime import datetime, timezone
from typing import Any

from halftone import storage
from halftone.retrain import steps
from halftone.retrain.drift.step import TRAITS
from halftone.retrain.gate.compare import SCORES
from halftone.retrain.job import Job
from halftone.retrain.registry import Version
from halftone.retrain.state import history, journal, retention, snapshot
from halftone.retrain.state.journal import BEGIN, Journal
from halftone.retrain.state.retention import Kept

_HEAVY = (steps.MODEL, SCORES)


def tidy(job: Job) -> dict[str, Any]:
    """Remove what retrain.keep lets go; return the names of nights, versions and datasets.

    The night, version and dataset of the champion stay, those of the champion before it, to which
    a rollback goes, those of the challenger, and what the next night will compare with.
    """
    now = datetime.now(timezone.utc)
    keep = job.settings.keep
    versions = {one.night: one for one in job.registry.versions() if one.night}
    nights = {number: Journal(job.root, number) for number in journal.nights(job.root)}
    needed = _needed(job, versions, nights)
    heavy = [Kept(str(number), _begun(own)) for number, own in nights.items() if _has_heavy(own)]
    gone = retention.removable(heavy, keep.nights, keep.days, {str(one) for one in needed}, now)
    removed = [_remove_night(job, nights[int(number)], versions) for number in gone]
    used = _datasets(nights)
    in_use = {url for url, users in used.items() if users & needed}
    kept = [
        Kept(url, max((_begun(nights[number]) for number in used.get(url, ())), default=_EPOCH))
        for url in _there(job.root)
    ]
    datasets = retention.removable(kept, keep.datasets, keep.days, in_use, now)
    for url in datasets:
        storage.remove(url)
    storage.remove(storage.join(job.root, steps.FETCHED))  # the next training asks MLflow anew
    return {
        "nights": [int(number) for number in gone],
        "versions": [number for number in removed if number],
        "datasets": datasets,
    }


_EPOCH = datetime.fromtimestamp(0, timezone.utc)


def _needed(job: Job, versions: dict[str, Version], nights: dict[int, Journal]) -> set[int]:
    line = history.champions(history.outcomes(job.root))[-2:]
    numbers = {
        number
        for number, own in nights.items()
        for version in (versions.get(own.folder),)
        if version is not None and (version.aliases or version.number in line)
    }
    trained = [number for number, own in nights.items() if own.read("train") is not None]
    return numbers | {*trained[-1:]}


def _begun(own: Journal) -> datetime:
    entry = own.read(BEGIN)
    return datetime.fromisoformat(entry["at"]) if entry else _EPOCH


def _has_heavy(own: Journal) -> bool:
    return not {*_HEAVY}.isdisjoint(storage.list_names(own.folder))


def _remove_night(job: Job, own: Journal, versions: dict[str, Version]) -> str:
    """Remove a night's version, then its folders; its journal stays: the history is of it."""
    version = versions.get(own.folder)
    if version is not None:
        job.registry.remove(version)
    for name in (*_HEAVY, TRAITS):
        storage.remove(storage.join(own.folder, name))
    return version.number if version else ""


def _datasets(nights: dict[int, Journal]) -> dict[str, set[int]]:
    """Nights by the dataset that they used."""
    found: dict[str, set[int]] = {}
    for number, own in nights.items():
        entry = own.read("snapshot")
        if entry is not None:
            found.setdefault(entry["dataset"], set()).add(number)
    return found


def _there(root: str) -> list[str]:
    folder = storage.join(root, snapshot.DATASETS)
    return [storage.join(folder, name) for name in storage.list_names(folder)]
