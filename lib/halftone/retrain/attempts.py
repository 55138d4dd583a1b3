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
from halftone.retrain.job import Job
from halftone.retrain.run import Night, let_go, undone
from halftone.retrain.state import journal
from halftone.retrain.state.journal import AFTERWARDS, BEGIN, Entry
from halftone.retrain.state.lock import Lock, LostError

WRONG_INPUT = 2  # the exit code


def night(job: Job, held: Lock) -> Entry:
    """Go on with the night that has not ended, or begin one; return its outcome.

    Raises:
        RunError: it failed, and the next call tries again.
    """
    unfinished = journal.open_night(job.root, held)
    if unfinished is not None:
        found = Night(job, unfinished, held)
        over = _over(found)
        outcome = _tried(found, over)
        if not over:
            return outcome
        print(f"night {unfinished.night}: closed, {outcome['reason']}", flush=True)
    return _tried(Night(job, journal.new_night(job.root, held), held), "")


def say(word: str, error: BaseException) -> None:
    """Say on stderr what failed; with a traceback where that is no user's and no store's."""
    if not isinstance(error, (InputError, RunError, OSError, KeyboardInterrupt)):
        traceback.print_exception(type(error), error, error.__traceback__)
    print(f"{word}: {error}", file=sys.stderr, flush=True)


def _over(found: Night) -> str:
    """Why an open night is closed, and not gone on with; "" where it is."""
    begun = found.journal.read(BEGIN)
    if begun is None or begun["settings"] == found.job.basis(""):
        return ""
    changed = "the settings have changed since it began; the next night takes up all of it"
    return undone(begun) or changed


def _tried(found: Night, over: str) -> dict[str, Any]:
    """Run the night, or close it where it is over, or where another try would be of no use."""
    limit, place = found.job.settings.max_attempts, _place(found)
    # A dry run is of somebody who looks at what comes of it.
    attempt = 0 if found.job.dry_run else found.journal.add_attempt(place)
    if not over:
        _say_where(found.journal.night, place["step"], attempt, limit)
    try:
        if attempt > limit:
            return _given_up(found, place["step"])
        return found.close(over) if over else found.run()
    except InputError as error:
        print(f"error: {error}", file=sys.stderr, flush=True)
        return found.close(str(error), WRONG_INPUT)
    except (StoppedError, LostError):
        raise
    except Exception as error:
        now = _place(found)
        attempt = attempt if now == place else 1
        if attempt < limit or found.job.dry_run:
            raise
        say("failed", error)
        return found.close(
            f"{error} (attempt {attempt} at the step {now['step']}, retrain.max_attempts is "
            f"{limit}; the next night begins anew)"
        )


def _say_where(number: int, step: str, attempt: int, limit: int) -> None:
    now = datetime.now(timezone.utc).isoformat(" ", timespec="seconds")
    how = "begins" if step == BEGIN else f"goes on at the step {step}"
    tries = f", attempt {attempt} of {limit}" if 1 < attempt <= limit else ""
    print(f"night {number}: {how}{tries} ({now})", flush=True)


def _place(found: Night) -> Entry:
    """How far a night is: its open step, and a training's checkpoints."""
    own = found.journal
    step = own.open_step()
    checkpoints = storage.join(own.folder, steps.MODEL, CHECKPOINTS)
    there = storage.list_names(checkpoints) if step == "train" else []
    return {"step": step, "checkpoints": there}


def _given_up(found: Night, step: str) -> Entry:
    """Close a night that gets no further than `step`; an outcome that it has stands."""
    reason = (
        f"{found.job.settings.max_attempts} calls, which is retrain.max_attempts, got no further "
        f"than the step {step}: they were killed or stopped. See the log and the machine (memory, "
        "a limit of time)"
    )
    if step in AFTERWARDS:
        found.journal.record(step, let_go(step, reason))
    return found.close(f"{reason}; the next night begins anew")
