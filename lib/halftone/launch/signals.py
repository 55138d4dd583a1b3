"""SIGTERM and Ctrl-C to a job: handed on to its ranks, which write a checkpoint and end.

It goes through storage, as a file beside the model: that reaches ranks wherever they run.
"""

from __future__ import annotations

import signal
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from types import FrameType
from typing import Optional

from halftone import storage
from halftone.errors import StoppedError
from halftone.model_directory import STOP_FILE
from halftone.spark.session import is_spark_submitted
from halftone.system import parent_watch

_POLL_INTERVAL_SECS = 0.1


class StopRequest:
    """Which signal asked this job to end, if one did."""

    def __init__(self) -> None:
        self._signal: Optional[int] = None

    def is_received(self) -> bool:
        return self._signal is not None

    @property
    def is_interrupt(self) -> bool:
        return self._signal == signal.SIGINT

    def raise_if_received(self) -> None:
        """For as long as no rank has begun: raise StoppedError if the request is made."""
        if self.is_received():
            raise StoppedError("before the ranks had begun; run the same command again to go on")

    def handle_signal(self, signal_number: int, frame: Optional[FrameType]) -> None:
        """Be a signal's handler. Ctrl-C a second time waits for nothing any more."""
        if self._signal is not None and signal_number == signal.SIGINT:
            raise KeyboardInterrupt
        self._signal = self._signal or signal_number


@contextmanager
def forward_signals(output: str) -> Iterator[StopRequest]:
    """Hand SIGTERM and SIGINT on to the ranks of the training at `output`, while the body runs.

    Only the main thread gets signals; elsewhere, as in some notebooks, the file alone counts.

    Raises:
        StoppedError: as the body does, after SIGTERM or the file.
        KeyboardInterrupt: in its place, with the same text, after SIGINT.
    """
    request = StopRequest()
    file = storage.join(output, STOP_FILE)
    storage.remove(file)  # of a job that was killed
    try:
        with _install_handlers(request), _forward_stop(request, file):
            yield request
    except StoppedError as error:
        if request.is_interrupt:
            raise KeyboardInterrupt(str(error)) from None
        raise
    finally:
        storage.remove(file)


@contextmanager
def _install_handlers(request: StopRequest) -> Iterator[None]:
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    if is_spark_submitted():
        # spark-submit is a JVM that does not hand a signal on to the Python that it started.
        parent_watch.signal_on_parent_exit(signal.SIGTERM)
    numbers = (signal.SIGTERM, signal.SIGINT)
    before = [signal.signal(number, request.handle_signal) for number in numbers]
    try:
        yield
    finally:
        for number, handler in zip(numbers, before):
            signal.signal(number, handler)


@contextmanager
def _forward_stop(request: StopRequest, url: str) -> Iterator[None]:
    ended = threading.Event()

    def hand_on() -> None:
        while not ended.wait(_POLL_INTERVAL_SECS):
            if request.is_received():
                try:
                    storage.write_bytes(url, b"")
                except Exception:
                    continue
                with suppress(OSError):  # who read this may be gone
                    print("stopping: the ranks write a checkpoint", file=sys.stderr, flush=True)
                return

    thread = threading.Thread(target=hand_on, daemon=True)
    thread.start()
    try:
        yield
    finally:
        ended.set()
        thread.join()
