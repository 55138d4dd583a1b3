"""A request to stop with a checkpoint: SIGTERM to this process, or a file beside the model."""

from __future__ import annotations

import signal
import threading
from types import FrameType, TracebackType
from typing import Any, Optional

from halftone import storage
from halftone.system import job_process

_POLL_INTERVAL_SECS = 1.0


class StopFlag:
    """Whether this rank was asked to stop. Use it as a context manager.

    Args:
        url: a file to poll for; None polls for no file.
    """

    def __init__(self, url: Optional[str]) -> None:
        self._url = url
        self._set_event = threading.Event()
        self._closed_event = threading.Event()
        self._previous_handler: Any = None

    def is_set(self) -> bool:
        return self._set_event.is_set()

    def __enter__(self) -> StopFlag:
        # Python allows signal handlers in the main thread only; a notebook may use another one.
        if threading.current_thread() is threading.main_thread():
            self._previous_handler = signal.signal(signal.SIGTERM, self._on_signal)
        if self._url is not None:
            threading.Thread(target=self._poll_url, args=(self._url,), daemon=True).start()
        return self

    def __exit__(
        self,
        kind: Optional[type[BaseException]],
        error: Optional[BaseException],
        trace: Optional[TracebackType],
    ) -> None:
        self._closed_event.set()
        if self._previous_handler is not None:
            signal.signal(signal.SIGTERM, self._previous_handler)

    def _on_signal(self, number: int, frame: Optional[FrameType]) -> None:
        self._set_event.set()
        job_process.silence_libraries()

    def _poll_url(self, url: str) -> None:
        while not self._set_event.is_set():
            try:
                if storage.exists(url):
                    self._set_event.set()
            except Exception:  # the store is unreachable: try again at the next poll
                pass
            if self._closed_event.wait(_POLL_INTERVAL_SECS):
                break
