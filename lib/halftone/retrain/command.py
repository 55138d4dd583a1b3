"""What jobs/retrain.py does, and the exit codes by which a scheduler tells how it went."""

from __future__ import annotations

import json
import os
import sys
import traceback
from collections.abc import Sequence
from contextlib import ExitStack
from functools import cache, partial
from typing import Any, Callable, NamedTuple, Optional

from pyspark.sql import SparkSession

from halftone import config as configs
from halftone import storage, stores
from halftone.config import Config
from halftone.errors import InputError, RunError, StoppedError
from halftone.retrain import by_hand, history, job, journal, lock, notify
from halftone.retrain.history import FAILED, HELD, REFUSED
from halftone.retrain.job import Job
from halftone.retrain.journal import BEGIN, Journal
from halftone.retrain.lock import BusyError, Lock, LostError
from halftone.retrain.night import Night
from halftone.session import spark_session

DONE, WRONG_INPUT, GATE_REFUSED, BUSY, MAY_BE_RETRIED = 0, 2, 3, 4, 5
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
        stores.use(config.storage.options)
        if asked.history:
            print(_history(config))
            return DONE
        return run(config, asked)
    except InputError as error:
        return _ended(error, WRONG_INPUT, "error", "input")


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
            return _failed(config, error)
        except KeyboardInterrupt as error:
            return _ended(error, INTERRUPTED, "interrupted", "interrupted")
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
        return by_hand.promote(own, held, asked.promote)
    if asked.rollback:
        return by_hand.rollback(own, held)
    return _night(own, held)


def _locked(own: Job, work: Callable[[Lock], dict[str, Any]]) -> dict[str, Any]:
    folder = storage.join(own.root, lock.FOLDER)
    with lock.held(folder, own.settings.lock_secs, _end_at_once) as held:
        return work(held)


def _end_at_once(error: LostError) -> None:
    """Another goes on with the night: whatever this process would still do is in its way."""
    _ended(error, BUSY, "busy", "busy")
    sys.stdout.flush()
    os._exit(BUSY)


def _night(own: Job, held: Lock) -> dict[str, Any]:
    """Go on with the night that has not ended, or begin one."""
    among = journal.nights(own.root)
    number = journal.open_night(own.root, among)
    if number is not None:
        night = Night(own, Journal(own.root, number, held), held)
        begun = night.journal.read(BEGIN)
        if begun is None or begun["settings"] == own.basis(""):
            print(f"night {number}: going on", flush=True)
            return _tried(night)
        word = begun.get("by_hand")
        night.close(
            f"{word}: killed on the way; say it again"
            if word
            else "the settings have changed since it began; the next night takes up all of it"
        )
    number = (among[-1] if among else 0) + 1
    print(f"night {number}: begins", flush=True)
    return _tried(Night(own, Journal(own.root, number, held), held))


def _tried(night: Night) -> dict[str, Any]:
    """Run the night; close it where another try would be of no use."""
    attempt = night.journal.add_attempt()
    try:
        return night.run()
    except InputError as error:
        closed = night.close(str(error))
        print(f"error: {error}", file=sys.stderr, flush=True)
        return {**closed, "exit_code": WRONG_INPUT}
    except (StoppedError, LostError):
        raise
    except Exception as error:
        if attempt < night.job.settings.max_attempts:
            raise
        _say("failed", error)
        return night.close(
            f"{error} (attempt {attempt}, retrain.max_attempts is "
            f"{night.job.settings.max_attempts}; the next night begins anew)"
        )


def _failed(config: Config, error: Exception) -> int:
    if isinstance(error, InputError):
        return _ended(error, WRONG_INPUT, "error", "input")
    if isinstance(error, (BusyError, LostError)):
        return _ended(error, BUSY, "busy", "busy")
    if isinstance(error, StoppedError):
        return _ended(error, STOPPED, "stopped", "stopped")
    notify.tell(config.retrain, {"outcome": FAILED, "reason": str(error), "may_be_retried": True})
    return _ended(error, MAY_BE_RETRIED, "failed", FAILED)


def _ended(error: BaseException, code: int, word: str, outcome: str) -> int:
    _say(word, error)
    reason = str(error) or type(error).__name__
    print(json.dumps({"outcome": outcome, "reason": reason, "exit_code": code}), flush=True)
    return code


def _say(word: str, error: BaseException) -> None:
    if not isinstance(error, (InputError, RunError, OSError, KeyboardInterrupt)):
        traceback.print_exception(type(error), error, error.__traceback__)
    print(f"{word}: {error}", file=sys.stderr, flush=True)


def _history(config: Config) -> str:
    if not config.retrain.folder:
        raise InputError("retrain.folder is not set; give it in the config file or with --set")
    past = history.outcomes(storage.normalise(config.retrain.folder))
    return history.text(past) if past else "no night has ended yet"


def _shown(outcome: dict[str, Any]) -> dict[str, Any]:
    """What the last line says: the rest is in the night's folder."""
    names = ("outcome", "would_be", "night", "reason", "champion", "challenger", "new_images")
    return {name: outcome[name] for name in names if name in outcome}
