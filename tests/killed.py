"""Kill a retraining run at each of its steps: before and after it records the step's entry.

    python tests/killed.py FOLDER

The folder holds a config and a registered champion. For each kill, print a line of JSON: the step,
how the process ended, the version of models:/NAME@champion after it, and whether its files can be
fetched. Calls that are not killed print their last line: a dry run before the promotion, and the
last call. The file `did` gets a line each time that a step's work is done.

Each call is a process of its own, forked from one that has only imported modules.
"""

from __future__ import annotations

import contextlib
import io
import json
import os
import signal
import sys
from pathlib import Path
from typing import Any, Callable, Optional

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

# Imported here once, so that no forked call spends seconds on them.
import mlflow.store.model_registry.sqlalchemy_store
import mlflow.store.tracking.sqlalchemy_store
import mlflow.tracking  # noqa: F401
import pyspark.sql  # noqa: F401

import halftone.training.fit  # noqa: F401
from halftone.config import TrackingSettings
from halftone.retrain import command
from halftone.retrain.command import RetrainArguments
from halftone.retrain.registry import ModelRegistry
from halftone.retrain.state.journal import STEPS, Journal, JournalEntry
from retrained import NAME, in_a_process, last_line

BEFORE, BEHIND = "before", "behind"


def main(folder: Path) -> None:
    for step in STEPS:
        for when in (BEFORE, BEHIND):
            ended = in_a_process(lambda step=step, when=when: call(folder, step, when))
            in_a_process(
                lambda step=step, when=when, ended=ended: check_champion(folder, step, when, ended)
            )
        if step == "gate":
            in_a_process(lambda: call(folder, None, "", dry_run=True))
    in_a_process(lambda: call(folder, None, ""))


def call(folder: Path, kill_at: Optional[str], when: str, dry_run: bool = False) -> None:
    record, run_step = Journal.record, Journal.run_step

    def record_and_kill(journal: Journal, name: str, entry: JournalEntry) -> JournalEntry:
        if (name, when) == (kill_at, BEFORE):
            os.kill(os.getpid(), signal.SIGKILL)
        recorded = record(journal, name, entry)
        if name == kill_at:
            os.kill(os.getpid(), signal.SIGKILL)
        return recorded

    def run_and_log(journal: Journal, name: str, work: Callable[[], JournalEntry]) -> JournalEntry:
        def logged_work() -> JournalEntry:
            with open(folder / "did", "a") as file:
                file.write(f"{name}\n")
            return work()

        return run_step(journal, name, logged_work)

    stdout = io.StringIO()
    patched: Any = Journal
    patched.record, patched.run_step = record_and_kill, run_and_log
    with contextlib.redirect_stdout(stdout):
        code = command.main(RetrainArguments(str(folder / "retrain.yaml"), dry_run=dry_run))
    print(json.dumps({"code": code, "last": last_line(stdout.getvalue())}), flush=True)


def check_champion(folder: Path, step: str, when: str, ended: int) -> None:
    registry = ModelRegistry(TrackingSettings(uri=f"sqlite:///{folder}/mlflow.db"), NAME)
    champion = registry.champion()
    assert champion is not None
    copy = registry.fetch(champion, str(folder / "fetched" / champion.number))
    is_there = any(Path(copy).glob("network-*.keras"))
    line = {"step": step, "when": when, "ended": ended}
    print(json.dumps({**line, "champion": champion.number, "is_there": is_there}), flush=True)


if __name__ == "__main__":
    main(Path(sys.argv[1]))
