"""The drift step of a night: what is new, against what the last training had."""

from __future__ import annotations

from typing import Any, Optional

from halftone import storage
from halftone.retrain.drift import count_rows, statistics
from halftone.retrain.drift.findings import (
    OK,
    STOP,
    DriftFinding,
    RejectCounts,
    describe_findings,
    find_drift,
    find_new_classes,
    worst_level,
)
from halftone.retrain.job import RetrainJob
from halftone.retrain.state import journal
from halftone.retrain.state.journal import Journal, JournalEntry

STATISTICS_NAME = "traits.json"
ACCEPTED = "accepted"


def reject_counts(before: JournalEntry, after: JournalEntry) -> tuple[RejectCounts, RejectCounts]:
    """Of what was there before the night, and of what came with it.

    Args:
        before, made: counts of both versions, see night.py.
    """
    return (
        RejectCounts(before["images"], before["rejects"]),
        RejectCounts(after["new_images"], after["new_rejects"]),
    )


def check_drift(
    job: RetrainJob, run_number: int, before: JournalEntry, after: JournalEntry, dataset: str
) -> JournalEntry:
    """Compare the new rows of `dataset` with those of the last training, and count all for later.

    Returns:
        `level` (of drift.py, or ACCEPTED), `reason`, `findings`, and `dataset`.
    """
    last = _find_last_trained_run(job.root, run_number)
    counted = count_rows.ShardStatistics()
    if last is not None:
        raw = storage.read_json(
            storage.join(journal.run_folder(job.root, last.run_number), STATISTICS_NAME)
        )
        counted = count_rows.from_json(raw)
    earlier = _read_drift_entry(last)["dataset"] if last else None
    found = count_rows.count_dataset_rows(dataset, earlier, counted, job.session)
    storage.write_json(
        storage.join(journal.run_folder(job.root, run_number), STATISTICS_NAME),
        count_rows.as_json(found.by_shard),
    )
    findings = find_drift(
        found.before, found.new, *reject_counts(before, after), job.settings.drift
    )
    others = find_new_classes(found.before, found.new)
    return summarise_findings(findings, others, job.accept_drift, dataset, found.new)


def summarise_findings(
    findings: list[DriftFinding],
    new_classes: list[str],
    is_accepted: bool,
    dataset: Optional[str] = None,
    new_statistics: statistics.ImageStatistics = statistics.EMPTY,
) -> JournalEntry:
    """Say what findings amount to; a class that was never seen stops a night as a drift does."""
    level = STOP if new_classes else worst_level(findings)
    told = [f"{len(new_classes)} new classes: {', '.join(new_classes)}"] if new_classes else []
    told += [describe_findings(findings, level)] if worst_level(findings) == level else []
    reason = "; ".join(told) if level != OK else ""
    if level == STOP and is_accepted:
        level = ACCEPTED
    return {
        "level": level,
        "reason": reason,
        "findings": [one._asdict() for one in findings],
        "new_rows": sum(new_statistics.classes.values()),
        "new_by_class": new_statistics.classes,
        "dataset": dataset,
    }


def _find_last_trained_run(root: str, run_number: int) -> Optional[Journal]:
    """The last night before this one whose images were trained on."""
    for earlier in reversed([one for one in journal.list_runs(root) if one < run_number]):
        own = Journal(root, earlier)
        found = own.read("drift")
        if found is not None and found["level"] != STOP and own.read("train") is not None:
            return own
    return None


def _read_drift_entry(run_journal: Journal) -> dict[str, Any]:
    found = run_journal.read("drift")
    assert found is not None
    return found
