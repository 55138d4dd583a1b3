"""Let several threads acquire one lock at the same time."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from threading import Barrier

from halftone.locking import lock
from halftone.locking.lock import LockHeldError


def race(root: str, owners: int, timeout_secs: float) -> list[int]:
    """Return the fencing numbers of all threads, sorted; 0 where another one holds the lock."""
    start, ended = Barrier(owners), Barrier(owners)

    def take(_: int) -> int:
        start.wait()
        try:
            with lock.hold_lock(root, "retrain", timeout_secs, print) as held:
                ended.wait()
                return held.fencing_number
        except LockHeldError:
            ended.wait()
            return 0

    with ThreadPoolExecutor(owners) as pool:
        return sorted(pool.map(take, range(owners)))
