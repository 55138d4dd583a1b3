"""Decide which run a call works on, count its attempts, and close a run that cannot succeed."""

from __future__ import annotations

from datetime import datetime, timezone
from typing import Any

from halftone import logs, storage
from halftone.errors import InputError, RunError, StoppedError
from halftone.locking.lock import Lock, LockHeldError, LockLostError
from halftone.model_directory import CHECKPOINTS
from halftone.retrain import steps
from halftone.retrain.job import RetrainJob
from halftone.retrain.run import RetrainRun, manual_interruption_reason, report_failed_step
from halftone.retrain.state import journal
from halftone.retrain.state.journal import BEGIN, FOLLOW_UP_STEPS, JournalEntry
from halftone.system import job_process

WRONG_INPUT = 2  # the exit code


def continue_or_start_run(job: RetrainJob, lock: Lock) -> JournalEntry:
    """Resume the unfinished run, or start a new one; return its outcome.

    Raises:
        RunError: the run failed; the next call tries again.
    """
    unfinished = journal.find_unfinished_run(job.root, lock)
    if unfinished is not None:
        run = RetrainRun(job, unfinished, lock)
        close_reason = _close_reason(run)
        outcome = _attempt_run(run, close_reason)
        if not close_reason:
            return outcome
        print(f"run {unfinished.run_number}: closed, {outcome['reason']}", flush=True)
    return _attempt_run(RetrainRun(job, journal.new_run(job.root, lock), lock), "")


def print_error(label: str, error: BaseException) -> None:
    """Print an error to stderr, with a traceback unless its type is one that users can act on."""
    if not isinstance(error, (InputError, RunError, OSError, KeyboardInterrupt)):
        logs.report_bug(error)
    logs.report_end(f"{label}: {error}")


def _close_reason(run: RetrainRun) -> str:
    """Return why an unfinished run is closed instead of resumed; "" if it is resumed."""
    begin_entry = run.journal.read(BEGIN)
    if begin_entry is None or begin_entry["settings"] == run.job.fingerprint(""):
        return ""
    changed = "the settings have changed since it began; the next run covers its images too"
    return manual_interruption_reason(begin_entry) or changed


def _attempt_run(run: RetrainRun, close_reason: str) -> dict[str, Any]:
    """Resume the run, or close it if there is a reason to or another attempt would not help.

    Args:
        run: the run to resume or close.
        close_reason: why the run is closed; "" resumes it.
    """
    limit, progress = run.job.settings.max_attempts, _read_progress(run)
    # Dry runs are started and observed by a user: do not count them as attempts.
    attempt = 0 if run.job.dry_run else run.journal.add_attempt(progress)
    if not close_reason:
        _print_progress(run.journal.run_number, progress["step"], attempt, limit)
    try:
        if attempt > limit:
            return _give_up(run, progress["step"])
        return run.close(close_reason) if close_reason else run.execute()
    except InputError as error:
        logs.report_end(f"error: {error}")
        return run.close(str(error), WRONG_INPUT)
    except (StoppedError, LockHeldError, LockLostError):
        raise
    except Exception as error:
        job_process.raise_if_interrupted(error)
        new_progress = _read_progress(run)
        attempt = attempt if new_progress == progress else 1
        if attempt < limit or run.job.dry_run:
            raise
        print_error("failed", error)
        return run.close(
            f"{error} (attempt {attempt} at the step {new_progress['step']}, "
            f"retrain.max_attempts is {limit}; the next call starts a new run)"
        )


def _print_progress(run_number: int, step: str, attempt: int, limit: int) -> None:
    now = datetime.now(timezone.utc).isoformat(" ", timespec="seconds")
    action = "begins" if step == BEGIN else f"resumes at the step {step}"
    tries = f", attempt {attempt} of {limit}" if 1 < attempt <= limit else ""
    print(f"run {run_number}: {action}{tries} ({now})", flush=True)


def _read_progress(run: RetrainRun) -> JournalEntry:
    """Return how far a run is: its next step, and the checkpoints of an unfinished training."""
    step = run.journal.next_step()
    folder = storage.join(run.journal.folder, steps.MODEL, CHECKPOINTS)
    checkpoints = storage.list_names(folder) if step == "train" else []
    return {"step": step, "checkpoints": checkpoints}


def _give_up(run: RetrainRun, step: str) -> JournalEntry:
    """Close a run that does not get past `step`. If it has an outcome, the outcome stays."""
    reason = (
        f"{run.job.settings.max_attempts} calls (retrain.max_attempts) did not get past the step "
        f"{step}: they were killed or stopped. Check the log and the machine (memory, time limits)"
    )
    if step in FOLLOW_UP_STEPS:
        run.journal.record(step, report_failed_step(step, reason))
    return run.close(f"{reason}; the next call starts a new run")
