"""A lock on storage for processes on any machine, with a heartbeat and a fencing number.

Each holding of the lock is a file (lock/000001.json and so on), created atomically so that only one
process succeeds. The file with the highest number is the current holding. Its owner rewrites it
every few seconds, and marks it as released at the end. The lock of a dead owner is taken over by
creating the next number, not by removing a file. So two processes cannot both take it over, and an
owner that was only suspended finds a number above its own when it resumes.
"""

from __future__ import annotations

import json
import secrets
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from typing import Any, Callable, NamedTuple, Optional

from halftone import storage
from halftone.errors import RunError
from halftone.retrain.state import lock_owner
from halftone.retrain.state.lock_owner import LockOwner

FOLDER = "lock"
_BEATS_PER_TIMEOUT = 6  # heartbeats within the timeout after which an owner counts as dead
_NUM_OLD_FILES = 8  # kept files of earlier holdings


class LockHeldError(RunError):
    """Another process holds the lock."""


class LockLostError(RunError):
    """Another process has taken the lock over."""


class _Holding(NamedTuple):
    owner: LockOwner
    beat: int  # number of heartbeats so far
    at: float  # seconds since 1970, by the owner's clock
    is_released: bool
    token: str  # random, so that no two files are equal


class Lock:
    """A lock that this process holds, see `hold_lock`."""

    def __init__(self, folder: str, number: int, holding: _Holding) -> None:
        self._folder, self.fencing_number, self._holding = folder, number, holding
        self._writing = threading.Lock()

    def check(self) -> None:
        """Write a heartbeat, and check that this process still holds the lock.

        Raises:
            LockLostError: another process has taken the lock over.
        """
        with self._writing:
            holding = self._holding._replace(beat=self._holding.beat + 1, at=time.time())
            _write_holding(self._folder, self.fencing_number, holding)
            self._holding = holding
        later = _read_holding(self._folder, self.fencing_number + 1)
        if later is not None:
            raise LockLostError(
                f"{later.owner} has taken over the lock {self._folder}, because this process wrote "
                "no heartbeat for longer than retrain.lock_secs, and continues the run. No action "
                "is needed"
            )

    def release(self) -> None:
        """Mark the lock as released."""
        # If the store cannot be reached, the lock becomes free when this process has ended or
        # after the timeout.
        with suppress(LockLostError, OSError):
            self.check()
            _write_holding(
                self._folder, self.fencing_number, self._holding._replace(is_released=True)
            )


@contextmanager
def hold_lock(
    folder: str, timeout_secs: float, on_lost: Callable[[LockLostError], None]
) -> Iterator[Lock]:
    """Hold the lock at `folder` while the body runs.

    Args:
        folder: URL of the lock's folder.
        timeout_secs: an owner without a heartbeat for this long counts as dead.
        on_lost: called from a thread if another process has taken the lock over.

    Raises:
        LockHeldError: another process holds the lock; the message contains its owner.
    """
    lock = _acquire_lock(folder, timeout_secs)
    ended = threading.Event()

    def beat() -> None:
        while not ended.wait(timeout_secs / _BEATS_PER_TIMEOUT):
            try:
                lock.check()
            except LockLostError as error:
                return on_lost(error)
            except Exception:  # the store cannot be reached: the next heartbeat may succeed
                continue

    thread = threading.Thread(target=beat, daemon=True)
    thread.start()
    try:
        yield lock
    finally:
        ended.set()
        thread.join()
        lock.release()


def _acquire_lock(folder: str, timeout_secs: float) -> Lock:
    while True:
        number, last = _read_last_holding(folder)
        if last is not None and not last.is_released and not _is_dead(folder, number, timeout_secs):
            raise LockHeldError(
                f"{last.owner} holds the lock {folder}, and wrote its last heartbeat "
                f"{max(0.0, time.time() - last.at):.0f} s ago"
            )
        holding = _Holding(lock_owner.this_process(), 0, time.time(), False, secrets.token_hex(8))
        if storage.create_file(_holding_url(folder, number + 1), _encode_holding(holding)):
            _remove_old_files(folder, number + 1)
            return Lock(folder, number + 1, holding)


def _is_dead(folder: str, number: int, timeout_secs: float) -> bool:
    """Return whether the owner of the last holding has ended or exceeded the timeout.

    Clocks of two machines may differ, so if the last heartbeat seems too old, wait for the time of
    two heartbeats and see whether there is a new one.
    """
    holding = _read_holding(folder, number)
    if holding is None or holding.owner.is_gone():
        return True
    if time.time() - holding.at < timeout_secs:
        return False
    deadline = time.monotonic() + 2 * timeout_secs / _BEATS_PER_TIMEOUT
    while time.monotonic() < deadline:
        time.sleep(min(1.0, timeout_secs / _BEATS_PER_TIMEOUT / 2))
        if _read_holding(folder, number) != holding:
            return False
    return True


def _read_last_holding(folder: str) -> tuple[int, Optional[_Holding]]:
    """Return number and content of the current holding; 0 and None if there is none yet."""
    names = storage.list_names(folder)
    number = max((int(name[:6]) for name in names if name[:6].isdigit()), default=0)
    holding = _read_holding(folder, number) if number else None
    # The listing may be stale: clients of some stores cache it.
    while (later := _read_holding(folder, number + 1)) is not None:
        number, holding = number + 1, later
    return number, holding


def _read_holding(folder: str, number: int) -> Optional[_Holding]:
    try:
        raw: dict[str, Any] = storage.read_json(_holding_url(folder, number))
    except FileNotFoundError:
        return None
    return _Holding(**{**raw, "owner": LockOwner(**raw["owner"])})


def _write_holding(folder: str, number: int, holding: _Holding) -> None:
    storage.write_bytes(_holding_url(folder, number), _encode_holding(holding))


def _encode_holding(holding: _Holding) -> bytes:
    return json.dumps({**holding._asdict(), "owner": holding.owner._asdict()}).encode()


def _remove_old_files(folder: str, number: int) -> None:
    for name in storage.list_names(folder):
        if name[:6].isdigit() and int(name[:6]) <= number - _NUM_OLD_FILES:
            storage.remove(storage.join(folder, name))


def _holding_url(folder: str, number: int) -> str:
    return storage.join(folder, f"{number:06d}.json")
