"""Forward SIGTERM and Ctrl-C from a job to its ranks, which write a checkpoint and end.

The request is a file beside the model, because storage reaches ranks on any machine.
"""

from __future__ import annotations

import logging
import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType
from typing import Optional

from halftone import logs, storage
from halftone.errors import StoppedError
from halftone.model_directory import STOP_FILE
from halftone.system import job_process

_POLL_INTERVAL_SECS = 0.1


class StopRequest:
    """The signal that asked this job to end, if any."""

    def __init__(self) -> None:
        self.signal: Optional[int] = None

    def is_received(self) -> bool:
        return self.signal is not None

    @property
    def is_interrupt(self) -> bool:
        return self.signal == signal.SIGINT

    def raise_if_received(self) -> None:
        """Raise StoppedError if the request was received. Call it before the ranks train."""
        if self.is_received():
            raise StoppedError("before training started; run the same command again to go on")

    def handle_signal(self, signal_number: int, frame: Optional[FrameType]) -> None:
        """Handle a signal. A second Ctrl-C raises KeyboardInterrupt at once."""
        if self.signal is not None and signal_number == signal.SIGINT:
            raise KeyboardInterrupt
        self.signal = self.signal or signal_number
        job_process.silence_libraries()


@contextmanager
def forward_signals(output: str) -> Iterator[StopRequest]:
    """Forward SIGTERM and SIGINT to the ranks of the training at `output` while the body runs.

    Python delivers signals to the main thread only. In another thread, as in some notebooks, only
    a file `stop` that the user creates stops the training.

    Raises:
        StoppedError: raised by the body, after SIGTERM or because of the file.
        KeyboardInterrupt: in its place, with the same text, after SIGINT.
    """
    request = StopRequest()
    stop_file = storage.join(output, STOP_FILE)
    storage.remove(stop_file)  # left behind by a killed job
    try:
        with _install_handlers(request), _forward_stop(request, stop_file):
            yield request
    except StoppedError as error:
        job_process.record_signal(request.signal or signal.SIGTERM)
        if request.is_interrupt:
            raise KeyboardInterrupt(str(error)) from None
        raise
    finally:
        storage.remove(stop_file)


@contextmanager
def _install_handlers(request: StopRequest) -> Iterator[None]:
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    handled_signals = (signal.SIGTERM, signal.SIGINT)
    previous = [signal.signal(number, request.handle_signal) for number in handled_signals]
    try:
        yield
    finally:
        for number, handler in zip(handled_signals, previous):
            signal.signal(number, handler)


@contextmanager
def _forward_stop(request: StopRequest, url: str) -> Iterator[None]:
    """Write the stop file as soon as the request is received."""
    has_ended = threading.Event()

    def forward() -> None:
        while not has_ended.wait(_POLL_INTERVAL_SECS):
            if request.is_received():
                try:
                    storage.write_bytes(url, b"")
                except Exception:  # the store is unreachable: try again
                    continue
                logs.report_end("stopping: the ranks write a checkpoint", logging.WARNING)
                return

    thread = threading.Thread(target=forward, daemon=True)
    thread.start()
    try:
        yield
    finally:
        has_ended.set()
        thread.join()
