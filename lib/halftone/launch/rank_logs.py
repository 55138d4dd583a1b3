"""Log files with the output of each rank: OUTPUT/logs/rank-0.log, rank-1.log, ..."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from typing import IO

from halftone import storage
from halftone.model_directory import LOGS


def log_url(output: str, rank: int) -> str:
    return storage.join(output, LOGS, f"rank-{rank}.log")


@contextmanager
def open_logs(output: str, num_ranks: int) -> Iterator[list[IO[bytes]]]:
    """Yield a file opened for appending for each rank.

    If `output` is in an object store, which cannot append, the files are local and are uploaded
    when the body ends.
    """
    with ExitStack() as stack:
        if storage.is_local(output):
            os.makedirs(storage.join(output, LOGS), exist_ok=True)
            paths = [log_url(output, rank) for rank in range(num_ranks)]
        else:
            folder = stack.enter_context(tempfile.TemporaryDirectory(prefix="halftone-"))
            paths = [os.path.join(folder, str(rank)) for rank in range(num_ranks)]
        try:
            with ExitStack() as files:
                # Unbuffered, so that a running training can be followed.
                yield [files.enter_context(open(path, "ab", buffering=0)) for path in paths]
        finally:
            if not storage.is_local(output):
                for rank, path in enumerate(paths):
                    _append_file(log_url(output, rank), path)


def _append_file(destination: str, path: str) -> None:
    old_content = storage.read_bytes(destination) if storage.exists(destination) else b""
    storage.write_bytes(destination, old_content + storage.read_bytes(path))
