"""Remove what earlier runs left and nothing needs: models, scores, MLflow versions, datasets."""

from __future__ import annotations

from collections.abc import Collection
from datetime import datetime, timezone
from typing import Any

from halftone import storage
from halftone.retrain import steps
from halftone.retrain.drift.step import STATISTICS_NAME
from halftone.retrain.gate.compare import SCORES
from halftone.retrain.job import CHAMPION_FOLDER, RetrainJob
from halftone.retrain.registry import ModelVersion
from halftone.retrain.state import history, journal, retention, snapshot
from halftone.retrain.state.journal import BEGIN, Journal
from halftone.retrain.state.retention import DatedArtifact

_ARTIFACT_FOLDERS = (steps.MODEL, SCORES)


def remove_obsolete(job: RetrainJob) -> dict[str, Any]:
    """Remove what exceeds retrain.keep; return the removed runs, versions and datasets.

    Run, version and dataset of these stay in any case: the champion, the previous champion (the
    target of a rollback), the challenger, and the last training, which the next run compares with.
    """
    now = datetime.now(timezone.utc)
    keep = job.settings.keep
    versions = {
        version.retrain_run_folder: version
        for version in job.registry.versions()
        if version.retrain_run_folder
    }
    journals = {number: Journal(job.root, number) for number in journal.list_runs(job.root)}
    needed = _needed_runs(job, versions, journals)
    runs = [
        DatedArtifact(str(number), _begin_time(run_journal))
        for number, run_journal in journals.items()
        if _has_artifacts(run_journal)
    ]
    removable = retention.list_removable(
        runs, keep.nights, keep.days, {str(number) for number in needed}, now
    )
    removed_versions = [_remove_run(job, journals[int(number)], versions) for number in removable]
    runs_by_dataset = _group_runs_by_dataset(journals)
    needed_datasets = {url for url, numbers in runs_by_dataset.items() if numbers & needed}
    snapshots = [
        DatedArtifact(url, _last_use(journals, runs_by_dataset.get(url, ())))
        for url in _list_snapshots(job.root)
    ]
    datasets = retention.list_removable(snapshots, keep.datasets, keep.days, needed_datasets, now)
    for url in datasets:
        storage.remove(url)
    # The next run fetches the champion from MLflow again.
    storage.remove(storage.join(job.root, CHAMPION_FOLDER))
    return {
        "nights": [int(number) for number in removable],
        "versions": [number for number in removed_versions if number],
        "datasets": datasets,
    }


_EPOCH = datetime.fromtimestamp(0, timezone.utc)


def _needed_runs(
    job: RetrainJob, versions: dict[str, ModelVersion], journals: dict[int, Journal]
) -> set[int]:
    champions = history.champion_lineage(history.read_outcomes(job.root))[-2:]
    numbers = set()
    for number, run_journal in journals.items():
        version = versions.get(run_journal.folder)
        if version is not None and (version.aliases or version.number in champions):
            numbers.add(number)
    trained = [
        number for number, run_journal in journals.items() if run_journal.read("train") is not None
    ]
    return numbers | {*trained[-1:]}


def _begin_time(run_journal: Journal) -> datetime:
    entry = run_journal.read(BEGIN)
    return datetime.fromisoformat(entry["at"]) if entry else _EPOCH


def _last_use(journals: dict[int, Journal], run_numbers: Collection[int]) -> datetime:
    """Return when the last of these runs began; the epoch if there are none."""
    return max((_begin_time(journals[number]) for number in run_numbers), default=_EPOCH)


def _has_artifacts(run_journal: Journal) -> bool:
    return not {*_ARTIFACT_FOLDERS}.isdisjoint(storage.list_names(run_journal.folder))


def _remove_run(job: RetrainJob, run_journal: Journal, versions: dict[str, ModelVersion]) -> str:
    """Remove a run's version, then its folders; return the version's number, "" if it had none.

    The journal stays, because the history is read from it.
    """
    version = versions.get(run_journal.folder)
    if version is not None:
        job.registry.remove(version)
    for name in (*_ARTIFACT_FOLDERS, STATISTICS_NAME):
        storage.remove(storage.join(run_journal.folder, name))
    return version.number if version else ""


def _group_runs_by_dataset(journals: dict[int, Journal]) -> dict[str, set[int]]:
    """Group run numbers by the URL of the snapshot that they used."""
    numbers: dict[str, set[int]] = {}
    for number, run_journal in journals.items():
        entry = run_journal.read("snapshot")
        if entry is not None:
            numbers.setdefault(entry["dataset"], set()).add(number)
    return numbers


def _list_snapshots(root: str) -> list[str]:
    folder = storage.join(root, snapshot.DATASETS)
    return [storage.join(folder, name) for name in storage.list_names(folder)]
