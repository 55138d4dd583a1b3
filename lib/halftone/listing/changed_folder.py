"""A folder of a store without a listing: the files of an earlier one, and those that have changed.

Of an object that is named as changed, only its present state counts: it is asked for, so it does
not matter what the change was, or how often and in which order the changes were told.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import NamedTuple

import numpy as np
import pyarrow as pa

from halftone import arrow, storage
from halftone.arrow.columns import SLICE_ROWS
from halftone.dataset import schema
from halftone.listing.file_rows import build_rows
from halftone.listing.remarks import UnitRemarks
from halftone.storage import FileInfo

_REQUESTS_AT_ONCE = 64


class KnownFile(NamedTuple):
    """A Parquet file with a row for each of some files of the earlier listing."""

    url: str
    columns: Sequence[str]  # of the URLs, sizes in bytes and times of modification


class ChangedFolder(NamedTuple):
    root: str
    endings: frozenset[str]
    known: Sequence[KnownFile]
    # URLs of Parquet files with the paths below `root`, in the column `path`, of the objects that
    # may have changed. Each path is there once.
    named: Sequence[str]

    def plan_units(self) -> list[tuple[str, Sequence[str]]]:
        """Return a unit for each file: its URL, and its columns if it is a KnownFile."""
        return [*self.known, *((url, ()) for url in self.named)]

    def list_unit(
        self, remarks: UnitRemarks, unit: tuple[str, Sequence[str]]
    ) -> Iterator[pa.Table]:
        """Yield LISTED of one of `plan_units`."""
        url, columns = unit
        files = self._iter_known(url, columns) if columns else self._iter_named(url)
        return build_rows(self.root, self.endings, files, remarks)

    def _iter_known(self, url: str, columns: Sequence[str]) -> Iterator[FileInfo]:
        """Yield the files of an earlier listing that are not named."""
        known = storage.read_table(url, list(columns))
        prefix = storage.join(self.root, "")
        keys, sizes, times = (known[name].to_pylist() for name in columns)
        paths = [key.removeprefix(prefix) for key in keys]
        names = arrow.string_array(paths)
        is_named = np.zeros(len(paths), np.bool_)
        for named_url in self.named:  # one at a time, as there may be millions of names
            named = storage.read_table(named_url)[schema.PATH]
            is_named |= arrow.is_in(names, named)
        for path, size, modified, is_out in zip(paths, sizes, times, is_named):
            if not is_out:
                yield FileInfo(path, size, modified)

    def _iter_named(self, url: str) -> Iterator[FileInfo]:
        """Yield the named objects that exist now."""
        paths = storage.read_table(url)[schema.PATH].to_pylist()
        with ThreadPoolExecutor(_REQUESTS_AT_ONCE) as pool:
            for start in range(0, len(paths), SLICE_ROWS):
                some = paths[start : start + SLICE_ROWS]
                found = pool.map(storage.file_info, [storage.join(self.root, p) for p in some])
                for path, info in zip(some, found):
                    if info is not None:
                        yield info._replace(path=path)
