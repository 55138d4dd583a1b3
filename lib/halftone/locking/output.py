"""Hold the lock of a job's output while the job writes to it."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Callable

from halftone import storage
from halftone.locking import lock
from halftone.locking.lock import Lock, LockLostError

# A heartbeat is written every 20 s. A store may be out of reach for a minute without a loss.
TIMEOUT_SECS = 120.0

LossHandler = Callable[[LockLostError], None]


def _ignore_loss(error: LockLostError) -> None:
    """Leave it to `Lock.check`, which every job calls before it publishes."""


_loss_handler: LossHandler = _ignore_loss


@contextmanager
def handle_loss(handler: LossHandler) -> Iterator[None]:
    """Call `handler`, in a thread, as soon as a lock is lost that the body holds."""
    global _loss_handler
    previous, _loss_handler = _loss_handler, handler
    try:
        yield
    finally:
        _loss_handler = previous


def check_output(output: str) -> None:
    """Check that this process can write to the folder `output`, and that no other job does.

    Call it before what takes long, such as a listing of images or the import of TensorFlow, unless
    `hold_output`, which checks the same, comes first. Nothing stays at `output`.

    Args:
        output: a path or URL.

    Raises:
        InputError: the folder cannot be written.
        LockHeldError: another process writes to it; the message contains its owner.
        StoreError: the store does not respond.
    """
    storage.check_writable(output)
    lock.check_free(output, TIMEOUT_SECS)


@contextmanager
def hold_output(output: str, job: str) -> Iterator[Lock]:
    """Hold the lock of the folder `output`, so that no other job writes to it meanwhile.

    Readers need no lock. Before it publishes, the body must call `check` of the lock.

    Args:
        output: a path or URL; it is created if it does not exist.
        job: what this process does, such as "score", for the messages of others.

    Raises:
        InputError: the folder cannot be written.
        LockHeldError: another process writes to it; the message contains its owner.
        StoreError: the store does not respond.
    """
    storage.check_writable(output)
    with lock.hold_lock(output, job, TIMEOUT_SECS, _loss_handler) as held:
        yield held
