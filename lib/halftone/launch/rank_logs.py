"""What each rank says, in a file for each: OUTPUT/logs/rank-0.log, rank-1.log, ..."""

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
    """Yield a file to append to for each rank.

    Where `output` is a URL they are on this machine for as long, as stores cannot append.
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
                # Unbuffered: who looks at a running training sees all.
                yield [files.enter_context(open(path, "ab", buffering=0)) for path in paths]
        finally:
            if not storage.is_local(output):
                for rank, path in enumerate(paths):
                    _append_file(log_url(output, rank), path)


def _append_file(destination: str, path: str) -> None:
    before = storage.read_bytes(destination) if storage.exists(destination) else b""
    storage.write_bytes(destination, before + storage.read_bytes(path))
