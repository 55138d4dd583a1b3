"""gzip on all cores: parts are compressed at once, and written one behind the other."""

from __future__ import annotations

import gzip
import os
from collections import deque
from concurrent.futures import Future, ThreadPoolExecutor
from types import TracebackType
from typing import BinaryIO, Optional


class Gzip:
    """A file to write to, whose parts go compressed into `file`: together one file of gzip's."""

    def __init__(self, file: BinaryIO) -> None:
        self._file, self._most_waiting = file, 2 * (os.cpu_count() or 1)
        self._pool = ThreadPoolExecutor(os.cpu_count())
        self._waiting: deque[Future[bytes]] = deque()

    def __enter__(self) -> Gzip:
        return self

    def __exit__(
        self,
        kind: Optional[type[BaseException]],
        error: Optional[BaseException],
        traceback: Optional[TracebackType],
    ) -> None:
        if kind is None:
            self._write_all_but(0)
        self._pool.shutdown()

    def write(self, part: bytes) -> int:
        # No date: the same content gives the same bytes.
        self._waiting.append(self._pool.submit(gzip.compress, bytes(part), 6, mtime=0))
        self._write_all_but(self._most_waiting)
        return len(part)

    def _write_all_but(self, num_parts: int) -> None:
        while len(self._waiting) > num_parts:
            self._file.write(self._waiting.popleft().result())
