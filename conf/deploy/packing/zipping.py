"""gzip on all cores: parts are compressed in parallel, and written in order."""

from __future__ import annotations

import os
from collections import deque
from concurrent.futures import Future, ThreadPoolExecutor
from types import TracebackType
from typing import BinaryIO, Optional

# An eighth of the time of zlib, for 2 % more.
from isal import igzip

_LEVEL = 3


class Gzip:
    """A writable file whose parts are compressed to `file`; together they form one gzip file."""

    def __init__(self, file: BinaryIO) -> None:
        self._file, self._max_pending = file, 2 * (os.cpu_count() or 1)
        self._pool = ThreadPoolExecutor(os.cpu_count())
        self._pending: deque[Future[bytes]] = deque()

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
        # No timestamp, so that the same content gives the same bytes.
        self._pending.append(self._pool.submit(igzip.compress, bytes(part), _LEVEL, mtime=0))
        self._write_all_but(self._max_pending)
        return len(part)

    def _write_all_but(self, num_parts: int) -> None:
        while len(self._pending) > num_parts:
            self._file.write(self._pending.popleft().result())
