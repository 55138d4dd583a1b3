"""Change the champion by hand: --promote VERSION and --rollback."""

from __future__ import annotations

from typing import Any, Optional

from halftone.errors import InputError
from halftone.locking.lock import Lock
from halftone.retrain.job import RetrainJob
from halftone.retrain.run import RetrainRun, manual_interruption_reason
from halftone.retrain.state import history, journal
from halftone.retrain.state.history import BY_HAND, BY_ROLLBACK, PROMOTED
from halftone.retrain.state.journal import BEGIN, OUTCOME
from halftone.retrain.steps import set_champion


def promote(job: RetrainJob, lock: Lock, version_number: str) -> dict[str, Any]:
    """Make a version champion; return the outcome.

    If an earlier promotion of the same version was killed after it changed the champion, this call
    only completes it.

    Raises:
        InputError: there is no such version.
    """
    interrupted = _close_interrupted(job, lock)
    if (
        interrupted
        and _is_promotion(interrupted, BY_HAND)
        and interrupted["champion"] == version_number
    ):
        return interrupted
    return _promote_version(job, lock, version_number, BY_HAND, f"--promote {version_number}")


def rollback(job: RetrainJob, lock: Lock) -> dict[str, Any]:
    """Make the previous champion champion again; return the outcome.

    If an earlier rollback was killed after it changed the champion, this call only completes it
    and does not go back a second step.

    Raises:
        InputError: there is no previous champion.
    """
    interrupted = _close_interrupted(job, lock)
    if interrupted and _is_promotion(interrupted, BY_ROLLBACK):
        return interrupted
    champion = job.registry.champion()
    current = champion.number if champion else None
    previous = history.previous_champion(history.read_outcomes(job.root), current)
    reason = f"--rollback from {current} to {previous}"
    return _promote_version(job, lock, previous, BY_ROLLBACK, reason)


def _close_interrupted(job: RetrainJob, lock: Lock) -> Optional[dict[str, Any]]:
    """Close a manual promotion, or a run that has promoted its challenger, that was killed.

    Returns:
        Its outcome; None if there is none, or a run that has not promoted, which may be resumed.
    """
    unfinished = journal.find_unfinished_run(job.root, lock)
    if unfinished is None:
        return None
    run = RetrainRun(job, unfinished, lock)
    reason = manual_interruption_reason(unfinished.read(BEGIN) or {})
    return run.close(reason) if reason or run.has_promoted() else None


def _is_promotion(outcome: dict[str, Any], kind: str) -> bool:
    return (outcome["kind"], outcome["outcome"]) == (kind, PROMOTED)


def _promote_version(
    job: RetrainJob, lock: Lock, version_number: str, kind: str, reason: str
) -> dict[str, Any]:
    version = job.registry.version(version_number) if version_number.isdigit() else None
    if version is None:
        numbers = ", ".join(known.number for known in job.registry.versions()) or "none"
        raise InputError(
            f"{reason}: {job.registry} has no version {version_number}; it has {numbers}"
        )
    champion = job.registry.champion()
    unfinished = journal.find_unfinished_run(job.root, lock)
    if unfinished is not None:
        # That run compares its challenger with the champion that is replaced now.
        RetrainRun(job, unfinished, lock).close(f"set aside by {reason}")
    run_journal = journal.new_run(job.root, lock)
    manual_outcome = history.build_outcome(
        run_journal.run_number,
        kind,
        PROMOTED,
        reason,
        version.number,
        {"champion_before": champion.number if champion else None},
    )
    run_journal.record(BEGIN, {"settings": "", "by_hand": manual_outcome})
    set_champion(job.registry.set_alias, lock, version)
    outcome = run_journal.record(OUTCOME, manual_outcome)
    RetrainRun(job, run_journal, lock).finish(outcome)
    return outcome
