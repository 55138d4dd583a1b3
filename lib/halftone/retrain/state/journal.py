"""The journal of a run: one file per completed step, created atomically on storage.

The files are nights/000012/01-begin.json and so on. A step's file holds all that later steps need
from it, so another process can resume a killed run after the last step that has a file.
"""

from __future__ import annotations

import json
import re
import secrets
from datetime import datetime, timezone
from typing import Any, Callable, Optional

from halftone import storage
from halftone.locking.lock import Lock, LockLostError

RUNS_FOLDER = "nights"
BEGIN, OUTCOME, ENDED = "begin", "outcome", "ended"
FOLLOW_UP_STEPS = ("page", "notify", "tidy")  # nothing else depends on them
# In order. A run may skip some of them.
STEPS = (
    BEGIN, "preprocess", "snapshot", "drift", "start", "train", "register", "score", "gate",
    "promote", OUTCOME, *FOLLOW_UP_STEPS, ENDED,
)  # fmt: skip
ATTEMPT = "attempt"
_RUN_NUMBER = re.compile(r"^\d{6}$")

JournalEntry = dict[str, Any]


class Journal:
    """The completed steps of one run.

    Args:
        root: retrain.folder.
        run_number: 1, 2, ...
        lock: the lock, held by this process; needed only to write.
    """

    def __init__(self, root: str, run_number: int, lock: Optional[Lock] = None) -> None:
        self.run_number, self.folder = run_number, run_folder(root, run_number)
        self._lock = lock

    def run_step(self, name: str, work: Callable[[], JournalEntry]) -> JournalEntry:
        """Return the entry of a step; if there is none, do the work and record its result.

        Raises:
            LockLostError: another process has taken over this run.
        """
        entry = self.read(name)
        return self.record(name, work()) if entry is None else entry

    def record(self, name: str, entry: JournalEntry) -> JournalEntry:
        """Record that a step is done, and return the entry. An entry is never changed.

        Raises:
            LockLostError: another process has taken over this run.
        """
        assert self._lock is not None, "writing to a journal requires the lock"
        self._lock.check()
        now = datetime.now(timezone.utc).isoformat(timespec="seconds")
        header = {"at": now, "fence": self._lock.fencing_number, "id": secrets.token_hex(8)}
        text = json.dumps({**header, **entry}, indent=2) + "\n"
        if not storage.create_file(self._url(name), text.encode()):
            raise LockLostError(
                f"{self._url(name)}: another process has written it and continues the run"
            )
        # Return what `read` will return: JSON turns tuples into lists and keys into strings.
        recorded: JournalEntry = json.loads(text)
        return recorded

    def read(self, name: str) -> Optional[JournalEntry]:
        """Return the entry of a step, or None if the step is not done."""
        try:
            entry: JournalEntry = storage.read_json(self._url(name))
        except FileNotFoundError:
            return None
        return entry

    def next_step(self) -> str:
        """Return the step after the last completed one."""
        numbers = [int(name[:2]) for name in storage.list_names(self.folder) if name[:2].isdigit()]
        return STEPS[max(numbers, default=0)]

    def add_attempt(self, progress: JournalEntry) -> int:
        """Record that a process works on this run; return the number of attempts at this point.

        Args:
            progress: how far the run is.

        Returns:
            The number of processes that have started at `progress`, this one included, plus one
            for the process that reached it from an earlier point, if there was one.
        """
        earlier: list[JournalEntry] = []
        while (entry := self.read(f"{ATTEMPT}-{len(earlier) + 1}")) is not None:
            earlier.append(entry)
        self.record(f"{ATTEMPT}-{len(earlier) + 1}", progress)
        started_here = sum(progress.items() <= entry.items() for entry in earlier)
        return 1 + started_here + (started_here < len(earlier))

    def _url(self, name: str) -> str:
        number = f"{STEPS.index(name) + 1:02d}-" if name in STEPS else ""
        return storage.join(self.folder, f"{number}{name}.json")


def run_folder(root: str, run_number: int) -> str:
    return storage.join(root, run_path(run_number))


def run_path(run_number: int) -> str:
    """Return the path of a run's folder below the root."""
    return storage.join(RUNS_FOLDER, f"{run_number:06d}")


def list_runs(root: str) -> list[int]:
    """Return the numbers of all runs, in order."""
    names = storage.list_names(storage.join(root, RUNS_FOLDER))
    return [int(name) for name in names if _RUN_NUMBER.match(name)]


def find_unfinished_run(root: str, lock: Lock) -> Optional[Journal]:
    """Return the journal of the last run if it has not ended, else None."""
    numbers = list_runs(root)
    last = Journal(root, numbers[-1], lock) if numbers else None
    return last if last and last.read(ENDED) is None else None


def new_run(root: str, lock: Lock) -> Journal:
    """Return the journal of a new run, numbered after the last one."""
    return Journal(root, max(list_runs(root), default=0) + 1, lock)
