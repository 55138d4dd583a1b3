"""The drift step of a night: what is new, against what the last training had."""

from __future__ import annotations

from typing import Any, Optional

from halftone import storage
from halftone.retrain.drift import count_rows, statistics
from halftone.retrain.drift.findings import (
    OK,
    STOP,
    Finding,
    Rejects,
    described,
    find_drift,
    find_new_classes,
    worst,
)
from halftone.retrain.job import Job
from halftone.retrain.state import journal
from halftone.retrain.state.journal import Entry, Journal

TRAITS = "traits.json"
ACCEPTED = "accepted"


def rejects(before: Entry, made: Entry) -> tuple[Rejects, Rejects]:
    """Of what was there before the night, and of what came with it.

    Args:
        before, made: counts of both versions, see night.py.
    """
    return (
        Rejects(before["images"], before["rejects"]),
        Rejects(made["new_images"], made["new_rejects"]),
    )


def check(job: Job, night: int, before: Entry, made: Entry, dataset: str) -> Entry:
    """Compare the new rows of `dataset` with those of the last training, and count all for later.

    Returns:
        `level` (of drift.py, or ACCEPTED), `reason`, `findings`, and `dataset`.
    """
    last = _last_passed(job.root, night)
    counted = count_rows.ByShard()
    if last is not None:
        raw = storage.read_json(storage.join(journal.night_folder(job.root, last.night), TRAITS))
        counted = count_rows.from_json(raw)
    earlier = _entry(last)["dataset"] if last else None
    found = count_rows.count(dataset, earlier, counted, job.session)
    storage.write_json(
        storage.join(journal.night_folder(job.root, night), TRAITS),
        count_rows.as_json(found.by_shard),
    )
    findings = find_drift(found.before, found.new, *rejects(before, made), job.settings.drift)
    others = find_new_classes(found.before, found.new)
    return judged(findings, others, job.accept_drift, dataset, found.new)


def judged(
    findings: list[Finding],
    new_classes: list[str],
    is_accepted: bool,
    dataset: Optional[str] = None,
    new: statistics.Traits = statistics.NONE,
) -> Entry:
    """Say what findings amount to; a class that was never seen stops a night as a drift does."""
    level = STOP if new_classes else worst(findings)
    told = [f"{len(new_classes)} new classes: {', '.join(new_classes)}"] if new_classes else []
    told += [described(findings, level)] if worst(findings) == level else []
    reason = "; ".join(told) if level != OK else ""
    if level == STOP and is_accepted:
        level = ACCEPTED
    return {
        "level": level,
        "reason": reason,
        "findings": [one._asdict() for one in findings],
        "new_rows": sum(new.classes.values()),
        "new_by_class": new.classes,
        "dataset": dataset,
    }


def _last_passed(root: str, night: int) -> Optional[Journal]:
    """The last night before this one whose images were trained on."""
    for earlier in reversed([one for one in journal.nights(root) if one < night]):
        own = Journal(root, earlier)
        found = own.read("drift")
        if found is not None and found["level"] != STOP and own.read("train") is not None:
            return own
    return None


def _entry(own: Journal) -> dict[str, Any]:
    found = own.read("drift")
    assert found is not None
    return found
