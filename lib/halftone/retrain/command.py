"""What jobs/retrain.py does, and the exit codes by which a scheduler tells how it went."""

from __future__ import annotations

import json
import os
import secrets
import sys
from collections.abc import Sequence
from contextlib import ExitStack
from functools import cache, partial
from typing import Any, Callable, NamedTuple, Optional

from pyspark.sql import SparkSession

from halftone import config as configs
from halftone import storage
from halftone.config import Config
from halftone.errors import InputError, RunError, StoppedError
from halftone.retrain import attempts, job, manual, notify
from halftone.retrain.attempts import WRONG_INPUT, say
from halftone.retrain.job import Job
from halftone.retrain.state import history, lock
from halftone.retrain.state.history import FAILED, HELD, REFUSED
from halftone.retrain.state.lock import BusyError, Lock, LostError
from halftone.spark.session import spark_session
from halftone.storage import clients

DONE, GATE_REFUSED, BUSY, MAY_BE_RETRIED = 0, 3, 4, 5
STOPPED, INTERRUPTED = 143, 130


class Asked(NamedTuple):
    """The command line."""

    config: str
    overrides: Sequence[str] = ()
    images: Optional[str] = None
    dry_run: bool = False
    accept_drift: bool = False
    promote: Optional[str] = None
    rollback: bool = False
    history: bool = False


def main(asked: Asked) -> int:
    """Do what is asked and return the exit code; the last line printed is the outcome as JSON."""
    try:
        config = configs.load(asked.config, asked.overrides, {"images": asked.images})
        clients.use(config.storage.options)
        if asked.history:
            print(_history(config))
            return DONE
        return run(config, asked)
    except InputError as error:
        return _ended(error, WRONG_INPUT, "error", "input")
    except RunError as error:  # the history's store is away
        return _ended(error, MAY_BE_RETRIED, "failed", FAILED)


def run(config: Config, asked: Asked) -> int:
    """Do a night, or what is asked by hand.

    Raises:
        InputError: the config does not serve retraining; nothing was done.
    """
    with ExitStack() as stack:

        @cache  # several steps ask for it, and most nights none does
        def session() -> SparkSession:
            return stack.enter_context(spark_session(f"{config.name}: retrain", config.spark))

        own = job.of(config, session, accept_drift=asked.accept_drift, dry_run=asked.dry_run)
        try:
            outcome = _locked(own, partial(_asked_for, own, asked))
        except Exception as error:
            return _failed(own, error)
        except KeyboardInterrupt as error:
            said = KeyboardInterrupt(str(error) or "run the same command again to go on")
            return _ended(said, INTERRUPTED, "interrupted", "interrupted")
    code = exit_code(config, outcome)
    print(json.dumps({**_shown(outcome), "exit_code": code}), flush=True)
    return code


def exit_code(config: Config, outcome: dict[str, Any]) -> int:
    if outcome["outcome"] == FAILED:
        return int(outcome.get("exit_code", MAY_BE_RETRIED))
    refused = outcome["outcome"] in (REFUSED, HELD)
    return GATE_REFUSED if refused and config.retrain.fail_on_refusal else DONE


def _asked_for(own: Job, asked: Asked, held: Lock) -> dict[str, Any]:
    if asked.promote is not None:
        return manual.promote(own, held, asked.promote)
    if asked.rollback:
        return manual.rollback(own, held)
    return attempts.night(own, held)


def _locked(own: Job, work: Callable[[Lock], dict[str, Any]]) -> dict[str, Any]:
    folder = storage.join(own.root, lock.FOLDER)
    with lock.held(folder, own.settings.lock_secs, _end_at_once) as held:
        return work(held)


def _end_at_once(error: LostError) -> None:
    """Another goes on with the night: whatever this process would still do is in its way."""
    _ended(error, BUSY, "busy", "busy")
    sys.stdout.flush()
    os._exit(BUSY)


def _failed(own: Job, error: Exception) -> int:
    if isinstance(error, InputError):
        return _ended(error, WRONG_INPUT, "error", "input")
    if isinstance(error, (BusyError, LostError)):
        return _ended(error, BUSY, "busy", "busy")
    if isinstance(error, StoppedError):
        return _ended(error, STOPPED, "stopped", "stopped")
    outcome = {"outcome": FAILED, "reason": str(error), "may_be_retried": True}
    notify.tell(own.settings, own.registry.name, {"id": secrets.token_hex(8), **outcome})
    return _ended(error, MAY_BE_RETRIED, "failed", FAILED)


def _ended(error: BaseException, code: int, word: str, outcome: str) -> int:
    say(word, error)
    reason = str(error) or type(error).__name__
    print(json.dumps({"outcome": outcome, "reason": reason, "exit_code": code}), flush=True)
    return code


def _history(config: Config) -> str:
    if not config.retrain.folder:
        raise InputError("retrain.folder is not set; give it in the config file or with --set")
    past = history.outcomes(storage.normalise(config.retrain.folder))
    return history.text(past) if past else "no night has ended yet"


def _shown(outcome: dict[str, Any]) -> dict[str, Any]:
    """What the last line says: the rest is in the night's folder."""
    names = ("outcome", "would_be", "night", "reason", "champion", "challenger", "new_images")
    return {name: outcome[name] for name in names if name in outcome}
