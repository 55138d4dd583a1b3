"""A champion made by the user's word: --promote VERSION and --rollback."""

from __future__ import annotations

from typing import Any, Optional

from halftone.errors import InputError
from halftone.retrain.job import RetrainJob
from halftone.retrain.run import RetrainRun, manual_interruption_reason
from halftone.retrain.state import history, journal
from halftone.retrain.state.history import BY_HAND, BY_ROLLBACK, PROMOTED
from halftone.retrain.state.journal import BEGIN, OUTCOME
from halftone.retrain.state.lock import Lock
from halftone.retrain.steps import set_champion


def promote(job: RetrainJob, lock: Lock, version_number: str) -> dict[str, Any]:
    """Make version `number` champion. Raises InputError where there is none."""
    return _promote_version(job, lock, version_number, BY_HAND, f"--promote {version_number}")


def rollback(job: RetrainJob, lock: Lock) -> dict[str, Any]:
    """Make the champion before this one champion. Raises InputError where there is none.

    Said again after it was killed, it goes one step back and not two.
    """
    settled = _close_interrupted(job, lock)
    if settled and (settled["kind"], settled["outcome"]) == (BY_ROLLBACK, PROMOTED):
        return settled
    champion = job.registry.champion()
    now = champion.number if champion else None
    before = history.previous_champion(history.read_outcomes(job.root), now)
    return _promote_version(job, lock, before, BY_ROLLBACK, f"--rollback from {now} to {before}")


def _close_interrupted(job: RetrainJob, lock: Lock) -> Optional[dict[str, Any]]:
    """The outcome of what was said by hand last, where that was killed on the way."""
    unfinished = journal.find_unfinished_run(job.root, lock)
    if unfinished is None:
        return None
    reason = manual_interruption_reason(unfinished.read(BEGIN) or {})
    return RetrainRun(job, unfinished, lock).close(reason) if reason else None


def _promote_version(
    job: RetrainJob, lock: Lock, version_number: str, kind: str, reason: str
) -> dict[str, Any]:
    version = job.registry.version(version_number) if version_number.isdigit() else None
    if version is None:
        there = ", ".join(one.number for one in job.registry.versions()) or "none"
        raise InputError(
            f"{reason}: {job.registry} has no version {version_number}; it has {there}"
        )
    champion = job.registry.champion()
    unfinished = journal.find_unfinished_run(job.root, lock)
    if unfinished is not None:
        # What it was about to decide was meant for another champion.
        RetrainRun(job, unfinished, lock).close(f"set aside by {reason}")
    own = journal.new_run(job.root, lock)
    before = {"champion_before": champion.number if champion else None}
    made = history.build_outcome(own.run_number, kind, PROMOTED, reason, version.number, before)
    own.record(BEGIN, {"settings": "", "by_hand": made})
    set_champion(job.registry.set_alias, lock, version)
    outcome = own.record(OUTCOME, made)
    RetrainRun(job, own, lock).finish(outcome)
    return outcome
