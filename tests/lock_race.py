"""Owners that want one lock at the same moment."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from threading import Barrier

from halftone.retrain.state import lock
from halftone.retrain.state.lock import LockHeldError


def race(folder: str, owners: int, dead_secs: float) -> list[int]:
    """Return the numbers they get, sorted: 0 for who is told that another holds it."""
    start, ended = Barrier(owners), Barrier(owners)

    def take(_: int) -> int:
        start.wait()
        try:
            with lock.hold_lock(folder, dead_secs, print) as held:
                ended.wait()
                return held.fencing_number
        except LockHeldError:
            ended.wait()
            return 0

    with ThreadPoolExecutor(owners) as pool:
        return sorted(pool.map(take, range(owners)))
