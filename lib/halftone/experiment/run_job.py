"""One run of an experiment from this side: its folder, its process, and what came of it."""

from __future__ import annotations

import hashlib
import json
import queue
import subprocess
import threading
from contextlib import suppress
from pathlib import Path
from typing import Any, NamedTuple, Optional

from halftone import death, storage
from halftone.config import Config
from halftone.experiment import trial
from halftone.experiment.datasets import Dataset
from halftone.experiment.planning import Trial

SETTINGS = "settings.json"
_FOLDER, _LOG = "runs", "log"
# What a run's place and helpers are has no part in its result.
_FREE = {"name", "paths", "tracking", "spark"}


class Outcome(NamedTuple):
    """What came of a run: its result, or why it has none."""

    trial: Trial
    result: Optional[dict[str, Any]]  # as halftone.experiment.trial writes it
    error: str
    log: str


def settings(config: Config) -> dict[str, Any]:
    """All that decides what a run ends with."""
    return config.model_dump(mode="json", exclude=_FREE)


def folder(one: Trial, output: str) -> str:
    """Where a run is kept, below the experiment's output."""
    return storage.join(output, _FOLDER, one.name)


class Job:
    """A trial and its process, where it needs one."""

    def __init__(self, one: Trial, output: str, dataset: Dataset) -> None:
        self._trial, self._dataset = one, dataset.url
        self._folder = folder(one, output)
        self._log = storage.join(self._folder, _LOG)
        text = json.dumps([settings(one.config), dataset.fingerprint], sort_keys=True)
        self._identity = hashlib.blake2b(text.encode(), digest_size=16).hexdigest()
        self._process: Optional[subprocess.Popen[bytes]] = None
        self._is_stopped = False
        self._lock = threading.Lock()

    def outcome(self, slots: queue.SimpleQueue[int], parallel: int) -> Outcome:
        slot = slots.get()
        try:
            if self._standing():
                print(f"{self._trial.name}: finished before, and kept", flush=True)
                error = ""
            else:
                error = self._run(slot, parallel)
        finally:
            slots.put(slot)
        result = None if error else self._standing()
        if result is None and not error:
            error = "ended well and left no result"
        return Outcome(self._trial, result, error, self._log)

    def stop(self) -> None:
        """Have the process write a checkpoint and end; start none from now on."""
        with self._lock:
            self._is_stopped = True
            if self._process is not None:
                self._process.terminate()

    def _run(self, slot: int, parallel: int) -> str:
        """Return what went wrong, or an empty text."""
        storage.write_json(storage.join(self._folder, SETTINGS), settings(self._trial.config))
        job = {
            "config": self._trial.config.model_dump(mode="json"),
            "dataset": self._dataset,
            "folder": self._folder,
            "identity": self._identity,
            "slot": slot,
            "parallel": parallel,
        }
        before = death.out_of_memory_kills()
        with open(self._log, "wb") as log:
            with self._lock:
                if self._is_stopped:
                    return "stopped before it began"
                process = self._process = subprocess.Popen(
                    trial.command(),
                    stdin=subprocess.PIPE,
                    stdout=log,
                    stderr=subprocess.STDOUT,
                    env=trial.environment(),
                )
            assert process.stdin is not None
            with suppress(BrokenPipeError), process.stdin:
                process.stdin.write((json.dumps(job) + "\n").encode())
                process.stdin.flush()
                # Its input stays open: it ends when that does, as when this process is killed.
                process.wait()
        code = process.wait()
        if code < 0:
            return death.describe(code, before)
        return _last_line(self._log) if code else ""

    def _standing(self) -> Optional[dict[str, Any]]:
        """What this very run, on this very dataset, left; None where it is not finished."""
        try:
            result = storage.read_json(storage.join(self._folder, trial.RESULT))
        except FileNotFoundError:
            return None
        return result if result["identity"] == self._identity else None


def _last_line(log: str) -> str:
    lines = Path(log).read_text(encoding="utf-8", errors="replace").split("\n")
    return next((line.strip() for line in reversed(lines) if line.strip()), "said nothing")
