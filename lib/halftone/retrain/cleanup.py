"""Remove what of earlier nights nobody needs: models, scores, versions in MLflow, datasets."""

from __future__ import annotations

from datetime import datetime, timezone
from typing import Any

from halftone import storage
from halftone.retrain import steps
from halftone.retrain.drift.step import STATISTICS_NAME
from halftone.retrain.gate.compare import SCORES
from halftone.retrain.job import RetrainJob
from halftone.retrain.registry import ModelVersion
from halftone.retrain.state import history, journal, retention, snapshot
from halftone.retrain.state.journal import BEGIN, Journal
from halftone.retrain.state.retention import DatedArtifact

_ARTIFACT_FOLDERS = (steps.MODEL, SCORES)


def remove_obsolete(job: RetrainJob) -> dict[str, Any]:
    """Remove what retrain.keep lets go; return the names of nights, versions and datasets.

    The night, version and dataset of the champion stay, those of the champion before it, to which
    a rollback goes, those of the challenger, and what the next night will compare with.
    """
    now = datetime.now(timezone.utc)
    keep = job.settings.keep
    versions = {
        one.retrain_run_folder: one for one in job.registry.versions() if one.retrain_run_folder
    }
    nights = {number: Journal(job.root, number) for number in journal.list_runs(job.root)}
    needed = _needed_runs(job, versions, nights)
    heavy = [
        DatedArtifact(str(number), _begin_time(own))
        for number, own in nights.items()
        if _has_artifacts(own)
    ]
    gone = retention.list_removable(
        heavy, keep.nights, keep.days, {str(one) for one in needed}, now
    )
    removed = [_remove_run(job, nights[int(number)], versions) for number in gone]
    used = _group_runs_by_dataset(nights)
    in_use = {url for url, users in used.items() if users & needed}
    kept = [
        DatedArtifact(
            url, max((_begin_time(nights[number]) for number in used.get(url, ())), default=_EPOCH)
        )
        for url in _list_snapshots(job.root)
    ]
    datasets = retention.list_removable(kept, keep.datasets, keep.days, in_use, now)
    for url in datasets:
        storage.remove(url)
    storage.remove(
        storage.join(job.root, steps.CHAMPION_FOLDER)
    )  # the next training asks MLflow anew
    return {
        "nights": [int(number) for number in gone],
        "versions": [number for number in removed if number],
        "datasets": datasets,
    }


_EPOCH = datetime.fromtimestamp(0, timezone.utc)


def _needed_runs(
    job: RetrainJob, versions: dict[str, ModelVersion], journals: dict[int, Journal]
) -> set[int]:
    line = history.champion_lineage(history.read_outcomes(job.root))[-2:]
    numbers = {
        number
        for number, own in journals.items()
        for version in (versions.get(own.folder),)
        if version is not None and (version.aliases or version.number in line)
    }
    trained = [number for number, own in journals.items() if own.read("train") is not None]
    return numbers | {*trained[-1:]}


def _begin_time(run_journal: Journal) -> datetime:
    entry = run_journal.read(BEGIN)
    return datetime.fromisoformat(entry["at"]) if entry else _EPOCH


def _has_artifacts(run_journal: Journal) -> bool:
    return not {*_ARTIFACT_FOLDERS}.isdisjoint(storage.list_names(run_journal.folder))


def _remove_run(job: RetrainJob, run_journal: Journal, versions: dict[str, ModelVersion]) -> str:
    """Remove a night's version, then its folders; its journal stays: the history is of it."""
    version = versions.get(run_journal.folder)
    if version is not None:
        job.registry.remove(version)
    for name in (*_ARTIFACT_FOLDERS, STATISTICS_NAME):
        storage.remove(storage.join(run_journal.folder, name))
    return version.number if version else ""


def _group_runs_by_dataset(journals: dict[int, Journal]) -> dict[str, set[int]]:
    """Nights by the dataset that they used."""
    found: dict[str, set[int]] = {}
    for number, own in journals.items():
        entry = own.read("snapshot")
        if entry is not None:
            found.setdefault(entry["dataset"], set()).add(number)
    return found


def _list_snapshots(root: str) -> list[str]:
    folder = storage.join(root, snapshot.DATASETS)
    return [storage.join(folder, name) for name in storage.list_names(folder)]
