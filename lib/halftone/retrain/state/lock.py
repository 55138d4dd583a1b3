"""One at a time, on any machine: a lock on storage, with a heartbeat and a fencing number.

Each holding of the lock is a file, lock/000001.json and so on, that is made where none is: of all
who try, one succeeds. The highest number counts. Its owner rewrites the file every few seconds, and
marks it as released at the end. A dead owner's lock is taken over by making the next number; files
are never removed to do so, so two that take over at once cannot both succeed, and an owner that
wakes up finds a number after its own.
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
_BEATS_PER_TIMEOUT = 6  # in the time after which a silent owner counts as dead
_NUM_OLD_FILES = 8  # files of earlier holdings


class LockHeldError(RunError):
    """Another holds the lock."""


class LockLostError(RunError):
    """Another has taken the lock over."""


class _Holding(NamedTuple):
    owner: LockOwner
    beat: int
    at: float  # seconds since 1970, by the owner's clock
    is_released: bool
    token: str  # random: no two files are the same


class Lock:
    """A lock that is held. Made by `held`."""

    def __init__(self, folder: str, number: int, holding: _Holding) -> None:
        self._folder, self.fencing_number, self._holding = folder, number, holding
        self._writing = threading.Lock()

    def check(self) -> None:
        """Give a sign of life; raise LostError where another has taken the lock over."""
        with self._writing:
            holding = self._holding._replace(beat=self._holding.beat + 1, at=time.time())
            _write_holding(self._folder, self.fencing_number, holding)
            self._holding = holding
        later = _read_holding(self._folder, self.fencing_number + 1)
        if later is not None:
            raise LockLostError(
                f"{later.owner} has taken over the lock {self._folder}: this process gave no sign "
                "of life for longer than retrain.lock_secs. It goes on there; nothing is to be done"
            )

    def release(self) -> None:
        # Where the store is away, the lock is free when this process has ended, or silent for long.
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
        dead_secs: after so long without a sign of life an owner counts as dead.
        on_lost: is called, from a thread, where another has taken the lock over.

    Raises:
        BusyError: another holds it; says who.
    """
    lock = _acquire_lock(folder, timeout_secs)
    ended = threading.Event()

    def beat() -> None:
        while not ended.wait(timeout_secs / _BEATS_PER_TIMEOUT):
            try:
                lock.check()
            except LockLostError as error:
                return on_lost(error)
            except Exception:  # the store is away: the next beat may reach it
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
                f"{last.owner} holds the lock {folder}, and gave its last sign of life "
                f"{max(0.0, time.time() - last.at):.0f} s ago"
            )
        own = _Holding(lock_owner.this_process(), 0, time.time(), False, secrets.token_hex(8))
        if storage.create_file(_holding_url(folder, number + 1), _encode_holding(own)):
            _remove_old_files(folder, number + 1)
            return Lock(folder, number + 1, own)


def _is_dead(folder: str, number: int, timeout_secs: float) -> bool:
    """Whether the owner of the last holding is gone, or has been silent for long.

    Clocks of two machines may differ, so one that seems silent is watched for two of its beats.
    """
    seen = _read_holding(folder, number)
    if seen is None or seen.owner.is_gone():
        return True
    if time.time() - seen.at < timeout_secs:
        return False
    deadline = time.monotonic() + 2 * timeout_secs / _BEATS_PER_TIMEOUT
    while time.monotonic() < deadline:
        time.sleep(min(1.0, timeout_secs / _BEATS_PER_TIMEOUT / 2))
        if _read_holding(folder, number) != seen:
            return False
    return True


def _read_last_holding(folder: str) -> tuple[int, Optional[_Holding]]:
    """The holding that counts; 0 and None where there was none yet."""
    names = storage.list_names(folder)
    number = max((int(name[:6]) for name in names if name[:6].isdigit()), default=0)
    found = _read_holding(folder, number) if number else None
    # A store's client may remember an older list.
    while (later := _read_holding(folder, number + 1)) is not None:
        number, found = number + 1, later
    return number, found


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
