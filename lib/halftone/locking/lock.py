"""A lock on storage for processes on any machine, with a heartbeat and a fencing number.

Each holding of the lock is a file (_lock/000001.json and so on), created atomically so that only
one process succeeds. The file with the highest number is the current holding. Its owner rewrites it
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
from datetime import datetime, timezone
from typing import Any, Callable, NamedTuple, Optional

from halftone import storage
from halftone.errors import RunError
from halftone.locking import lock_owner
from halftone.locking.lock_owner import LockOwner

# Below the locked folder. Spark ignores names with a leading underscore.
LOCK_FOLDER = "_lock"
_BEATS_PER_TIMEOUT = 6  # heartbeats within the timeout after which an owner counts as dead
_REREAD_AFTER_SECS = (0.1, 0.3, 1.0)
_NUM_FILES = 2  # of the current holding and earlier ones


class LockHeldError(RunError):
    """Another process holds the lock."""


class LockLostError(RunError):
    """This process no longer holds the lock, so it must not publish anything."""


class _Holding(NamedTuple):
    owner: LockOwner
    job: str  # what the owner does, such as "score"
    since: float  # seconds since 1970, by the owner's clock
    at: float  # time of the last heartbeat, by the owner's clock
    beat: int  # number of heartbeats so far
    is_released: bool
    token: str  # random, so that no two files are equal


class Lock:
    """A lock that this process holds, see `hold_lock`."""

    def __init__(self, root: str, number: int, holding: _Holding, timeout_secs: float) -> None:
        self._root, self.fencing_number, self._holding = root, number, holding
        self._timeout_secs = timeout_secs
        self._writing = threading.Lock()

    def check(self) -> None:
        """Check that this process still holds the lock, and write a heartbeat.

        Raises:
            LockLostError: another process has taken the lock over, or its files were removed.
        """
        with self._writing:
            self._raise_if_lost()
            holding = self._holding._replace(beat=self._holding.beat + 1, at=time.time())
            _write_holding(self._root, self.fencing_number, holding)
            self._holding = holding

    def release(self) -> None:
        """Mark the lock as released."""
        # If the store cannot be reached, the lock becomes free when this process has ended or
        # after the timeout.
        with suppress(RunError, OSError), self._writing:
            self._raise_if_lost()
            released = self._holding._replace(is_released=True)
            _write_holding(self._root, self.fencing_number, released)

    def _raise_if_lost(self) -> None:
        number, last = _read_last_holding(self._root)
        if last is not None and number > self.fencing_number:
            raise LockLostError(
                f"{self._root}: {last.owner} has taken the lock over, because this process wrote "
                f"no heartbeat for longer than {self._timeout_secs:g} s (was it suspended?). It "
                "stops and publishes nothing; the other process goes on"
            )
        if last is None or last.token != self._holding.token:
            raise LockLostError(
                f"{self._root}: was removed while this {self._holding.job} job was writing to it; "
                "the job stops and publishes nothing"
            )


@contextmanager
def hold_lock(
    root: str, job: str, timeout_secs: float, on_lost: Callable[[LockLostError], None]
) -> Iterator[Lock]:
    """Hold the lock of the folder `root` while the body runs.

    Args:
        root: URL of the folder.
        job: what this process does there, such as "score", for the messages of others.
        timeout_secs: an owner without a heartbeat for this long counts as dead.
        on_lost: called from a thread if another process has taken the lock over.

    Raises:
        LockHeldError: another process holds the lock; the message contains its owner.
    """
    lock = _acquire_lock(root, job, timeout_secs)
    ended = threading.Event()

    def beat() -> None:
        while not ended.wait(timeout_secs / _BEATS_PER_TIMEOUT):
            try:
                lock.check()
            except LockLostError as error:
                if not ended.is_set():
                    on_lost(error)
                return
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


def check_free(root: str, timeout_secs: float) -> int:
    """Return the number of the last holding of the lock of `root`, 0 if there is none yet.

    Raises:
        LockHeldError: another process holds the lock.
    """
    number, last = _read_last_holding(root)
    if last is not None and not last.is_released and not _is_dead(root, number, timeout_secs):
        raise LockHeldError(_describe_holding(root, last, timeout_secs))
    return number


def _describe_holding(root: str, holding: _Holding, timeout_secs: float) -> str:
    since = datetime.fromtimestamp(holding.since, timezone.utc)
    cure = "wait until it has ended, end it, or use another folder"
    if not holding.owner.is_on_this_machine():
        cure += (
            f". If that process no longer runs, the folder is free {timeout_secs:g} s after its "
            "last heartbeat"
        )
    return (
        f"{root}: is in use by {holding.owner} ({holding.job} job) since "
        f"{since:%Y-%m-%d %H:%M:%S} UTC, with a heartbeat {max(0.0, time.time() - holding.at):.0f} "
        f"s ago; {cure}"
    )


def _acquire_lock(root: str, job: str, timeout_secs: float) -> Lock:
    while True:
        number = check_free(root, timeout_secs) + 1
        owner, now, token = lock_owner.this_process(), time.time(), secrets.token_hex(8)
        holding = _Holding(owner, job, since=now, at=now, beat=0, is_released=False, token=token)
        if storage.create_file(_holding_url(root, number), _encode_holding(holding)):
            _remove_old_files(root, number)
            return Lock(root, number, holding, timeout_secs)


def _is_dead(root: str, number: int, timeout_secs: float) -> bool:
    """Return whether the owner of the last holding has ended or exceeded the timeout.

    Clocks of two machines may differ and may be set, so if the last heartbeat seems too old, or
    far in the future, wait for the time of two heartbeats and see whether there is a new one.
    """
    holding = _read_holding(root, number)
    if holding is None or holding.owner.is_gone():
        return True
    if abs(time.time() - holding.at) < timeout_secs:
        return False
    deadline = time.monotonic() + 2 * timeout_secs / _BEATS_PER_TIMEOUT
    while time.monotonic() < deadline:
        time.sleep(min(1.0, timeout_secs / _BEATS_PER_TIMEOUT / 2))
        if _read_holding(root, number) != holding:
            return False
    return True


def _read_last_holding(root: str) -> tuple[int, Optional[_Holding]]:
    """Return number and content of the current holding; 0 and None if there is none yet."""
    names = storage.list_names(storage.join(root, LOCK_FOLDER))
    number = max((int(name[:6]) for name in names if name[:6].isdigit()), default=0)
    holding = _read_holding(root, number) if number else None
    # The listing may be stale: clients of some stores cache it.
    while (later := _read_holding(root, number + 1)) is not None:
        number, holding = number + 1, later
    return number, holding


def _read_holding(root: str, number: int) -> Optional[_Holding]:
    url = _holding_url(root, number)
    # Some mounted stores cannot write atomically: a heartbeat may be half written.
    for delay_secs in (*_REREAD_AFTER_SECS, None):
        try:
            raw: dict[str, Any] = storage.read_json(url)
            return _Holding(**{**raw, "owner": LockOwner(**raw["owner"])})
        except FileNotFoundError:
            return None
        except (ValueError, KeyError, TypeError):
            if delay_secs is None:
                break
            time.sleep(delay_secs)
    raise RunError(f"{url}: not a lock file; remove it if no job writes to {root}")


def _write_holding(root: str, number: int, holding: _Holding) -> None:
    storage.write_bytes(_holding_url(root, number), _encode_holding(holding))


def _encode_holding(holding: _Holding) -> bytes:
    return json.dumps({**holding._asdict(), "owner": holding.owner._asdict()}).encode()


def _remove_old_files(root: str, number: int) -> None:
    folder = storage.join(root, LOCK_FOLDER)
    for name in storage.list_names(folder):
        if name[:6].isdigit() and int(name[:6]) <= number - _NUM_FILES:
            storage.remove(storage.join(folder, name))


def _holding_url(root: str, number: int) -> str:
    return storage.join(root, LOCK_FOLDER, f"{number:06d}.json")
