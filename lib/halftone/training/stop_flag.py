"""A wish to stop in good order: SIGTERM to this process, or a file beside the model."""

from __future__ import annotations

import signal
import threading
from types import FrameType, TracebackType
from typing import Any, Optional

from halftone import storage

_LOOK_EVERY_SECS = 1.0


class Wish:
    """Whether this rank was asked to stop; to be used as a context.

    Args:
        file: a URL, looked for now and then, or None for a rank that need not look.
    """

    def __init__(self, file: Optional[str]) -> None:
        self._file = file
        self._asked = threading.Event()
        self._ended = threading.Event()
        self._before: Any = None

    def is_made(self) -> bool:
        return self._asked.is_set()

    def __enter__(self) -> Wish:
        # Python lets the main thread only have handlers; a notebook's job may be another.
        if threading.current_thread() is threading.main_thread():
            self._before = signal.signal(signal.SIGTERM, self._on_signal)
        if self._file is not None:
            threading.Thread(target=self._look, args=(self._file,), daemon=True).start()
        return self

    def __exit__(
        self,
        kind: Optional[type[BaseException]],
        error: Optional[BaseException],
        trace: Optional[TracebackType],
    ) -> None:
        self._ended.set()
        if self._before is not None:
            signal.signal(signal.SIGTERM, self._before)

    def _on_signal(self, number: int, frame: Optional[FrameType]) -> None:
        self._asked.set()

    def _look(self, file: str) -> None:
        while not self._asked.is_set():
            try:
                if storage.exists(file):
                    self._asked.set()
            except Exception:  # a store that is away now may be there next time
                pass
            if self._ended.wait(_LOOK_EVERY_SECS):
                break
