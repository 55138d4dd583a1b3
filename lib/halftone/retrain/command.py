"""The commands of jobs/retrain.py, and the exit codes that a scheduler acts on."""

from __future__ import annotations

import json
import os
import secrets
import sys
from collections.abc import Sequence
from contextlib import suppress
from functools import partial
from typing import Any, Callable, NamedTuple, Optional

from halftone import config as configs
from halftone import job_start, printable, storage
from halftone.config import Config
from halftone.errors import InputError, RunError, StoppedError
from halftone.lineage.job_run import report_job
from halftone.locking import lock, output
from halftone.locking.lock import Lock, LockHeldError, LockLostError
from halftone.retrain import attempts, job, manual, notify, page
from halftone.retrain.attempts import WRONG_INPUT, print_error
from halftone.retrain.interruption import INTERRUPTED
from halftone.retrain.job import RetrainJob
from halftone.retrain.state import history
from halftone.retrain.state.history import FAILED, HELD_BY_DRIFT, REFUSED
from halftone.spark.session import session_on_demand
from halftone.system import job_process

DONE, GATE_REFUSED, BUSY, MAY_BE_RETRIED = 0, 3, 4, 5
STOPPED_CODE, INTERRUPTED_CODE = 143, 130


class RetrainArguments(NamedTuple):
    """Command line arguments of jobs/retrain.py."""

    config: str
    overrides: Sequence[str] = ()
    images: Optional[str] = None
    changes: Optional[str] = None
    dry_run: bool = False
    accept_drift: bool = False
    promote: Optional[str] = None
    rollback: bool = False
    history: bool = False


def main(arguments: RetrainArguments) -> int:
    """Run the command and return its exit code; print the outcome as JSON on the last line."""
    try:
        paths = (
            ("--input", "paths.images", arguments.images),
            ("--changes", "paths.changes", arguments.changes),
        )
        given = [configs.parse_flag(flag, key, url) for flag, key, url in paths if url is not None]
        config = configs.load_config(arguments.config, [*arguments.overrides, *given])
        job_start.apply_settings(config)
        if arguments.history:
            print(_history_text(config))
            return DONE
        return run_command(config, arguments)
    except InputError as error:
        return _print_failure(error, WRONG_INPUT, "error", "input")
    except RunError as error:  # the store of the history cannot be reached
        return _print_failure(error, MAY_BE_RETRIED, "failed", FAILED)
    except KeyboardInterrupt as error:
        if job_process.received_signal() is not None:
            return job_process.finish_interrupted(error)
        interrupt = KeyboardInterrupt(str(error) or "run the same command again to go on")
        return _print_failure(interrupt, INTERRUPTED_CODE, "interrupted", INTERRUPTED)


def run_command(config: Config, arguments: RetrainArguments) -> int:
    """Start or resume a retraining run, or promote by hand; return the exit code.

    Raises:
        InputError: the config is not suitable for retraining; nothing was done.
        KeyboardInterrupt: a signal was received; the next call resumes the run.
    """
    # Steps share one session, and a run with nothing new starts none.
    with session_on_demand(f"{config.name}: retrain", config.spark) as session:
        retrain_job = job.create_job(
            config, session, accept_drift=arguments.accept_drift, dry_run=arguments.dry_run
        )
        if arguments.promote is None and not arguments.rollback:
            job.check_slices(retrain_job)
        try:
            outcome = _run_reported(retrain_job, arguments)
        except Exception as error:
            job_process.raise_if_interrupted(error)
            return _report_failure(retrain_job, error)
    _print_page_url(retrain_job.root)
    code = exit_code(config, outcome)
    print(json.dumps({**_select_printed_fields(outcome), "exit_code": code}), flush=True)
    return code


def _run_reported(retrain_job: RetrainJob, arguments: RetrainArguments) -> dict[str, Any]:
    """Do the work with the lock, and report it to OpenLineage, if it is configured.

    A model that is promoted by hand is not reported: nothing is read or written.
    """
    work = partial(_dispatch, retrain_job, arguments)
    if arguments.promote is not None or arguments.rollback:
        return _run_locked(retrain_job, work)
    outputs = {"dataset": retrain_job.dataset, "folder": retrain_job.root}
    with (
        report_job(
            retrain_job.config.name, "retrain", {"images": retrain_job.images}, outputs
        ) as fail,
        history.measured(retrain_job.root),
    ):
        outcome = _run_locked(retrain_job, work)
        if outcome["outcome"] == FAILED:
            fail(str(outcome.get("reason", FAILED)))
        return outcome


def exit_code(config: Config, outcome: dict[str, Any]) -> int:
    if outcome["outcome"] == FAILED:
        return int(outcome.get("exit_code", MAY_BE_RETRIED))
    refused = outcome["outcome"] in (REFUSED, HELD_BY_DRIFT)
    return GATE_REFUSED if refused and config.retrain.fail_on_refusal else DONE


def _dispatch(
    retrain_job: RetrainJob, arguments: RetrainArguments, held_lock: Lock
) -> dict[str, Any]:
    if arguments.promote is not None:
        return manual.promote(retrain_job, held_lock, arguments.promote)
    if arguments.rollback:
        return manual.rollback(retrain_job, held_lock)
    return attempts.continue_or_start_run(retrain_job, held_lock)


def _run_locked(retrain_job: RetrainJob, work: Callable[[Lock], dict[str, Any]]) -> dict[str, Any]:
    root, timeout_secs = retrain_job.root, retrain_job.settings.lock_secs
    storage.check_writable(root)
    with (
        output.handle_loss(_exit_busy),  # of the dataset, the model and the scores
        lock.hold_lock(root, "retrain", timeout_secs, _exit_busy) as held_lock,
    ):
        return work(held_lock)


def _exit_busy(error: LockLostError) -> None:
    """Exit at once: another process has taken over the run, and this one would interfere."""
    _print_failure(error, BUSY, "busy", "busy")
    sys.stdout.flush()
    os._exit(BUSY)


def _report_failure(retrain_job: RetrainJob, error: Exception) -> int:
    if isinstance(error, (LockHeldError, LockLostError)):
        return _print_failure(error, BUSY, "busy", "busy")
    if isinstance(error, StoppedError):
        return _print_failure(error, STOPPED_CODE, "stopped", INTERRUPTED)
    # A folder that may not be written, as after a change of credentials, must reach someone too.
    may_be_retried = not isinstance(error, InputError)
    outcome = {"outcome": FAILED, "reason": str(error), "may_be_retried": may_be_retried}
    notify.send_outcome(
        retrain_job.settings, retrain_job.registry.name, {"id": secrets.token_hex(8), **outcome}
    )
    if not may_be_retried:
        return _print_failure(error, WRONG_INPUT, "error", "input")
    return _print_failure(error, MAY_BE_RETRIED, "failed", FAILED)


def _print_failure(error: BaseException, code: int, label: str, outcome: str) -> int:
    print_error(label, error)
    reason = str(error) or type(error).__name__
    print(json.dumps({"outcome": outcome, "reason": reason, "exit_code": code}), flush=True)
    return code


def _print_page_url(root: str) -> None:
    """Print where the page of all runs is, if there is one."""
    url = page.page_url(root)
    with suppress(RunError, OSError):  # the store is out of reach, and the outcome stands
        if storage.exists(url):
            printable.print_line(f"page of all runs: {url}")


def _history_text(config: Config) -> str:
    if not config.retrain.folder:
        raise InputError("retrain.folder is not set; give it in the config file or with --set")
    outcomes = history.read_outcomes(storage.normalise_url(config.retrain.folder))
    return history.format_history(outcomes) if outcomes else "no run has ended yet"


def _select_printed_fields(outcome: dict[str, Any]) -> dict[str, Any]:
    """Return the fields for the last line; the full outcome is in the run's folder."""
    names = ("outcome", "would_be", "night", "reason", "champion", "challenger", "new_images")
    return {name: outcome[name] for name in names if name in outcome}
