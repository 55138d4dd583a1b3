"""The drift step of a run: compare new rows with those of the last training."""

from __future__ import annotations

from typing import Any, Optional

from halftone import storage
from halftone.retrain.drift import count_rows, statistics
from halftone.retrain.drift.embeddings import (
    EmbeddingDrift,
    describe_embedding_drift,
    find_embedding_drift,
)
from halftone.retrain.drift.findings import (
    LEVELS,
    OK,
    STOP,
    DriftFinding,
    RejectCounts,
    describe_findings,
    find_drift,
    find_new_classes,
    worst_level,
)
from halftone.retrain.drift.row_samples import RowSample
from halftone.retrain.job import RetrainJob
from halftone.retrain.state import journal
from halftone.retrain.state.journal import Journal, JournalEntry

STATISTICS_NAME = "traits.json"
ACCEPTED = "accepted"


def reject_counts(before: JournalEntry, after: JournalEntry) -> tuple[RejectCounts, RejectCounts]:
    """Return counts of the images that existed before the run, and of those that are new in it.

    Args:
        before: journal entry of the step begin, see retrain/steps.py.
        after: journal entry of the step preprocess.
    """
    return (
        RejectCounts(before["images"], before["rejects"]),
        RejectCounts(after["new_images"], after["new_rejects"]),
    )


def check_drift(
    job: RetrainJob, run_number: int, before: JournalEntry, after: JournalEntry, dataset: str
) -> JournalEntry:
    """Compare the new rows of `dataset` with those of the last training.

    Also write the statistics of all shards to the run's folder, for later runs.

    Args:
        job: the retraining job.
        run_number: the number of this run.
        before: journal entry of the step begin.
        after: journal entry of the step preprocess.
        dataset: URL of the snapshot.

    Returns:
        `level` (a level of findings.py, or ACCEPTED), `reason`, `findings`, `embeddings` (an
        EmbeddingDrift, or None), `new_rows`, `new_by_class` and `dataset`.
    """
    last_run = _find_last_trained_run(job.root, run_number)
    known_statistics = count_rows.ShardStatistics()
    if last_run is not None:
        raw = storage.read_json(storage.join(last_run.folder, STATISTICS_NAME))
        known_statistics = count_rows.from_json(raw)
    previous_dataset = _read_drift_entry(last_run)["dataset"] if last_run else None
    counts = count_rows.count_dataset_rows(dataset, previous_dataset, known_statistics, job.session)
    storage.write_json(
        storage.join(journal.run_folder(job.root, run_number), STATISTICS_NAME),
        count_rows.as_json(counts.by_shard),
    )
    findings = find_drift(
        counts.before, counts.new, *reject_counts(before, after), job.settings.drift
    )
    new_classes = find_new_classes(counts.before, counts.new)
    embeddings = None
    if previous_dataset and counts.new_rows and job.settings.drift.embeddings:
        embeddings = _compare_embeddings(job, previous_dataset, counts.new_rows)
    return summarise_findings(
        findings, new_classes, job.accept_drift, dataset, counts.new, embeddings
    )


def _compare_embeddings(
    job: RetrainJob, previous_dataset: str, new_rows: list[RowSample]
) -> Optional[EmbeddingDrift]:
    """Return the drift of the champion's embeddings; None without a champion."""
    champion = job.registry.champion()
    if champion is None:
        return None
    return find_embedding_drift(
        previous_dataset, new_rows, job.fetch_model(champion), job.settings.drift, job.session
    )


def summarise_findings(
    findings: list[DriftFinding],
    new_classes: list[str],
    is_accepted: bool,
    dataset: Optional[str] = None,
    new_statistics: statistics.ImageStatistics = statistics.EMPTY,
    embeddings: Optional[EmbeddingDrift] = None,
) -> JournalEntry:
    """Return the drift entry for the journal. New classes stop a run like a large drift does."""
    levels = [worst_level(findings), embeddings.level if embeddings else OK]
    level = STOP if new_classes else max(levels, key=LEVELS.index)
    reasons = [f"{len(new_classes)} new classes: {', '.join(new_classes)}"] if new_classes else []
    reasons += [describe_findings(findings, level)] if worst_level(findings) == level else []
    if embeddings and embeddings.level == level:
        reasons.append(describe_embedding_drift(embeddings))
    reason = "; ".join(reasons) if level != OK else ""
    if level == STOP and is_accepted:
        level = ACCEPTED
    return {
        "level": level,
        "reason": reason,
        "findings": [finding._asdict() for finding in findings],
        "embeddings": embeddings._asdict() if embeddings else None,
        "new_rows": sum(new_statistics.classes.values()),
        "new_by_class": new_statistics.classes,
        "dataset": dataset,
    }


def _find_last_trained_run(root: str, run_number: int) -> Optional[Journal]:
    """Return the last run before this one that trained on its images."""
    earlier = [number for number in journal.list_runs(root) if number < run_number]
    for number in reversed(earlier):
        run_journal = Journal(root, number)
        entry = run_journal.read("drift")
        if entry is not None and entry["level"] != STOP and run_journal.read("train") is not None:
            return run_journal
    return None


def _read_drift_entry(run_journal: Journal) -> dict[str, Any]:
    entry = run_journal.read("drift")
    assert entry is not None
    return entry
