"""Which night a call works at, and when a night is given up."""

from __future__ import annotations

import sys
import traceback
from datetime import datetime, timezone
from typing import Any

from halftone import storage
from halftone.errors import InputError, RunError, StoppedError
from halftone.model_directory import CHECKPOINTS
from halftone.retrain import steps
from halftone.retrain.job import RetrainJob
from halftone.retrain.run import RetrainRun, manual_interruption_reason, report_failed_step
from halftone.retrain.state import journal
from halftone.retrain.state.journal import BEGIN, FOLLOW_UP_STEPS, JournalEntry
from halftone.retrain.state.lock import Lock, LockLostError

WRONG_INPUT = 2  # the exit code


def continue_or_start_run(job: RetrainJob, lock: Lock) -> JournalEntry:
    """Go on with the night that has not ended, or begin one; return its outcome.

    Raises:
        RunError: it failed, and the next call tries again.
    """
    unfinished = journal.find_unfinished_run(job.root, lock)
    if unfinished is not None:
        found = RetrainRun(job, unfinished, lock)
        over = _close_reason(found)
        outcome = _attempt_run(found, over)
        if not over:
            return outcome
        print(f"night {unfinished.run_number}: closed, {outcome['reason']}", flush=True)
    return _attempt_run(RetrainRun(job, journal.new_run(job.root, lock), lock), "")


def print_error(label: str, error: BaseException) -> None:
    """Say on stderr what failed; with a traceback where that is no user's and no store's."""
    if not isinstance(error, (InputError, RunError, OSError, KeyboardInterrupt)):
        traceback.print_exception(type(error), error, error.__traceback__)
    print(f"{label}: {error}", file=sys.stderr, flush=True)


def _close_reason(run: RetrainRun) -> str:
    """Why an open night is closed, and not gone on with; "" where it is."""
    begun = run.journal.read(BEGIN)
    if begun is None or begun["settings"] == run.job.fingerprint(""):
        return ""
    changed = "the settings have changed since it began; the next night takes up all of it"
    return manual_interruption_reason(begun) or changed


def _attempt_run(run: RetrainRun, close_reason: str) -> dict[str, Any]:
    """Run the night, or close it where it is over, or where another try would be of no use."""
    limit, place = run.job.settings.max_attempts, _read_progress(run)
    # A dry run is of somebody who looks at what comes of it.
    attempt = 0 if run.job.dry_run else run.journal.add_attempt(place)
    if not close_reason:
        _print_progress(run.journal.run_number, place["step"], attempt, limit)
    try:
        if attempt > limit:
            return _give_up(run, place["step"])
        return run.close(close_reason) if close_reason else run.execute()
    except InputError as error:
        print(f"error: {error}", file=sys.stderr, flush=True)
        return run.close(str(error), WRONG_INPUT)
    except (StoppedError, LockLostError):
        raise
    except Exception as error:
        now = _read_progress(run)
        attempt = attempt if now == place else 1
        if attempt < limit or run.job.dry_run:
            raise
        print_error("failed", error)
        return run.close(
            f"{error} (attempt {attempt} at the step {now['step']}, retrain.max_attempts is "
            f"{limit}; the next night begins anew)"
        )


def _print_progress(run_number: int, step: str, attempt: int, limit: int) -> None:
    now = datetime.now(timezone.utc).isoformat(" ", timespec="seconds")
    how = "begins" if step == BEGIN else f"goes on at the step {step}"
    tries = f", attempt {attempt} of {limit}" if 1 < attempt <= limit else ""
    print(f"night {run_number}: {how}{tries} ({now})", flush=True)


def _read_progress(run: RetrainRun) -> JournalEntry:
    """How far a night is: its open step, and a training's checkpoints."""
    own = run.journal
    step = own.next_step()
    checkpoints = storage.join(own.folder, steps.MODEL, CHECKPOINTS)
    there = storage.list_names(checkpoints) if step == "train" else []
    return {"step": step, "checkpoints": there}


def _give_up(run: RetrainRun, step: str) -> JournalEntry:
    """Close a night that gets no further than `step`; an outcome that it has stands."""
    reason = (
        f"{run.job.settings.max_attempts} calls, which is retrain.max_attempts, got no further "
        f"than the step {step}: they were killed or stopped. See the log and the machine (memory, "
        "a limit of time)"
    )
    if step in FOLLOW_UP_STEPS:
        run.journal.record(step, report_failed_step(step, reason))
    return run.close(f"{reason}; the next night begins anew")
