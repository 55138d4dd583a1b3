"""A night that is killed at each of its steps, twice: behind its work, and behind its entry.

    python tests/killed.py FOLDER

The folder holds a config and a registered champion. Prints a line of JSON for each kill: the step,
how the process ended, the version that models:/NAME@champion then is, and whether it can be had;
and one for each call that is left alone, with its last line: a dry run before the
promotion, and the last. `did` has a line for each time that a
step's work was done.

Each call is a process of its own, forked before anything was begun: only imports are shared.
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
            in_a_process(lambda step=step, when=when, ended=ended: look(folder, step, when, ended))
        if step == "gate":
            in_a_process(lambda: call(folder, None, "", dry_run=True))
    in_a_process(lambda: call(folder, None, ""))


def call(folder: Path, kill_at: Optional[str], when: str, dry_run: bool = False) -> None:
    record, step = Journal.record, Journal.run_step

    def killing(own: Journal, name: str, entry: JournalEntry) -> JournalEntry:
        if (name, when) == (kill_at, BEFORE):
            os.kill(os.getpid(), signal.SIGKILL)
        made = record(own, name, entry)
        if name == kill_at:
            os.kill(os.getpid(), signal.SIGKILL)
        return made

    def noting(own: Journal, name: str, work: Callable[[], JournalEntry]) -> JournalEntry:
        def noted() -> JournalEntry:
            with open(folder / "did", "a") as file:
                file.write(f"{name}\n")
            return work()

        return step(own, name, noted)

    said = io.StringIO()
    patched: Any = Journal
    patched.record, patched.run_step = killing, noting
    with contextlib.redirect_stdout(said):
        code = command.main(RetrainArguments(str(folder / "retrain.yaml"), dry_run=dry_run))
    print(json.dumps({"code": code, "last": last_line(said.getvalue())}), flush=True)


def look(folder: Path, step: str, when: str, ended: int) -> None:
    registry = ModelRegistry(TrackingSettings(uri=f"sqlite:///{folder}/mlflow.db"), NAME)
    champion = registry.champion()
    assert champion is not None
    copy = registry.fetch(champion, str(folder / "looked" / champion.number))
    is_there = any(Path(copy).glob("network-*.keras"))
    line = {"step": step, "when": when, "ended": ended}
    print(json.dumps({**line, "champion": champion.number, "is_there": is_there}), flush=True)


if __name__ == "__main__":
    main(Path(sys.argv[1]))
