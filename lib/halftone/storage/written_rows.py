"""Counts the rows of the files that workers have written so far."""

from __future__ import annotations

import time
from collections import defaultdict
from collections.abc import Mapping

from halftone.storage.listing import list_names

# A listing of many files takes long: it may take this share of the time.
_MAX_TIME_SHARE = 0.05


class WrittenRows:
    """Counts rows of files by listing their folders, and not too often.

    Args:
        rows_by_url: the rows of each file.
    """

    def __init__(self, rows_by_url: Mapping[str, int]) -> None:
        self._rows_by_folder: dict[str, dict[str, int]] = defaultdict(dict)
        for url, rows in rows_by_url.items():
            folder, _, name = url.rpartition("/")
            self._rows_by_folder[folder][name] = rows
        self._num_rows, self._next_listing = 0, 0.0

    def count(self) -> int:
        """Return the rows of the files that existed at the last listing."""
        started = time.monotonic()
        if started >= self._next_listing:
            self._num_rows = sum(
                rows_by_name.get(name, 0)
                for folder, rows_by_name in self._rows_by_folder.items()
                for name in list_names(folder)
            )
            ended = time.monotonic()
            self._next_listing = ended + (ended - started) / _MAX_TIME_SHARE
        return self._num_rows
