"""A champion made by the user's word: --promote VERSION and --rollback."""

from __future__ import annotations

from typing import Any, Optional

from halftone.errors import InputError
from halftone.retrain.job import Job
from halftone.retrain.run import Night, undone
from halftone.retrain.state import history, journal
from halftone.retrain.state.history import BY_HAND, BY_ROLLBACK, PROMOTED
from halftone.retrain.state.journal import BEGIN, OUTCOME
from halftone.retrain.state.lock import Lock
from halftone.retrain.steps import point


def promote(job: Job, held: Lock, number: str) -> dict[str, Any]:
    """Make version `number` champion. Raises InputError where there is none."""
    return _move(job, held, number, BY_HAND, f"--promote {number}")


def rollback(job: Job, held: Lock) -> dict[str, Any]:
    """Make the champion before this one champion. Raises InputError where there is none.

    Said again after it was killed, it goes one step back and not two.
    """
    settled = _settled(job, held)
    if settled and (settled["kind"], settled["outcome"]) == (BY_ROLLBACK, PROMOTED):
        return settled
    champion = job.registry.champion()
    now = champion.number if champion else None
    before = history.before_champion(history.outcomes(job.root), now)
    return _move(job, held, before, BY_ROLLBACK, f"--rollback from {now} to {before}")


def _settled(job: Job, held: Lock) -> Optional[dict[str, Any]]:
    """The outcome of what was said by hand last, where that was killed on the way."""
    unfinished = journal.open_night(job.root, held)
    if unfinished is None:
        return None
    reason = undone(unfinished.read(BEGIN) or {})
    return Night(job, unfinished, held).close(reason) if reason else None


def _move(job: Job, held: Lock, number: str, kind: str, reason: str) -> dict[str, Any]:
    version = job.registry.version(number) if number.isdigit() else None
    if version is None:
        there = ", ".join(one.number for one in job.registry.versions()) or "none"
        raise InputError(f"{reason}: {job.registry} has no version {number}; it has {there}")
    champion = job.registry.champion()
    unfinished = journal.open_night(job.root, held)
    if unfinished is not None:
        # What it was about to decide was meant for another champion.
        Night(job, unfinished, held).close(f"set aside by {reason}")
    own = journal.new_night(job.root, held)
    before = {"champion_before": champion.number if champion else None}
    made = history.outcome(own.night, kind, PROMOTED, reason, version.number, before)
    own.record(BEGIN, {"settings": "", "by_hand": made})
    point(job.registry.point, held, version)
    outcome = own.record(OUTCOME, made)
    Night(job, own, held).end(outcome)
    return outcome
