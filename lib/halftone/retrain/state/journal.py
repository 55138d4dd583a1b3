"""What of a night is done: one small file a step, written whole, on storage.

nights/000012/01-begin.json and so on. A step's file holds what the later steps need of it, so a
night that was killed goes on in another process after the last step that has a file.
"""

from __future__ import annotations

import json
import re
import secrets
from datetime import datetime, timezone
from typing import Any, Callable, Optional

from halftone import storage
from halftone.retrain.state.lock import Lock, LockLostError

RUNS_FOLDER = "nights"
BEGIN, OUTCOME, ENDED = "begin", "outcome", "ended"
FOLLOW_UP_STEPS = ("page", "notify", "tidy")  # on which nothing else depends
# In their order; a night need not have all of them.
STEPS = (
    BEGIN, "preprocess", "snapshot", "drift", "start", "train", "register", "score", "gate",
    "promote", OUTCOME, *FOLLOW_UP_STEPS, ENDED,
)  # fmt: skip
ATTEMPT = "attempt"
_RUN_NUMBER = re.compile(r"^\d{6}$")

JournalEntry = dict[str, Any]


class Journal:
    """The steps of one night."""

    def __init__(self, root: str, run_number: int, lock: Optional[Lock] = None) -> None:
        self.run_number, self.folder = run_number, run_folder(root, run_number)
        self._lock = lock

    def run_step(self, name: str, work: Callable[[], JournalEntry]) -> JournalEntry:
        """Return what step `name` has left; do its work first where it is not done.

        Raises:
            LostError: another process goes on with this night.
        """
        done = self.read(name)
        return self.record(name, work()) if done is None else done

    def record(self, name: str, entry: JournalEntry) -> JournalEntry:
        """Note that step `name` is done. What is noted is never changed."""
        assert self._lock is not None, "a night is read without its lock, and written with it"
        self._lock.check()
        now = datetime.now(timezone.utc).isoformat(timespec="seconds")
        whole = {"at": now, "fence": self._lock.fencing_number, "id": secrets.token_hex(8), **entry}
        text = json.dumps(whole, indent=2) + "\n"
        if not storage.create_file(self._url(name), text.encode()):
            raise LockLostError(
                f"{self._url(name)}: another process has written it; it goes on there"
            )
        entry_read: JournalEntry = json.loads(text)
        return entry_read

    def read(self, name: str) -> Optional[JournalEntry]:
        try:
            found: JournalEntry = storage.read_json(self._url(name))
        except FileNotFoundError:
            return None
        return found

    def next_step(self) -> str:
        """The step that comes behind the last one that is done."""
        numbers = [int(name[:2]) for name in storage.list_names(self.folder) if name[:2].isdigit()]
        return STEPS[max(numbers, default=0)]

    def add_attempt(self, progress: JournalEntry) -> int:
        """Note that a process takes this night up at `place`; return how many have tried to pass.

        Args:
            place: how far the night is; the process before got there and no further.
        """
        earlier: list[JournalEntry] = []
        while (found := self.read(f"{ATTEMPT}-{len(earlier) + 1}")) is not None:
            earlier.append(found)
        self.record(f"{ATTEMPT}-{len(earlier) + 1}", progress)
        there = sum(progress.items() <= found.items() for found in earlier)
        return 1 + there + (there < len(earlier))

    def _url(self, name: str) -> str:
        number = f"{STEPS.index(name) + 1:02d}-" if name in STEPS else ""
        return storage.join(self.folder, f"{number}{name}.json")


def run_folder(root: str, run_number: int) -> str:
    return storage.join(root, RUNS_FOLDER, f"{run_number:06d}")


def list_runs(root: str) -> list[int]:
    """All nights there are, in order."""
    names = storage.list_names(storage.join(root, RUNS_FOLDER))
    return [int(name) for name in names if _RUN_NUMBER.match(name)]


def find_unfinished_run(root: str, lock: Lock) -> Optional[Journal]:
    """The last of the nights, where it has not ended."""
    there = list_runs(root)
    last = Journal(root, there[-1], lock) if there else None
    return last if last and last.read(ENDED) is None else None


def new_run(root: str, lock: Lock) -> Journal:
    """The night behind all there are."""
    return Journal(root, max(list_runs(root), default=0) + 1, lock)
