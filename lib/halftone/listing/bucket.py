"""A folder of a store in units: ranges of keys, or all files if the store cannot list a range."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, NamedTuple

import pyarrow as pa

from halftone import storage
from halftone.listing.file_rows import build_rows
from halftone.listing.folder import folder_errors
from halftone.listing.key_ranges import KeyRange, find_key_ranges
from halftone.listing.remarks import UnitRemarks
from halftone.storage import FileInfo

# Directory buckets list their objects in no order, and not from a key on.
_DIRECTORY_BUCKET_ENDING = "--x-s3"


class RangedFolder(NamedTuple):
    """A folder of a store that lists from any key on."""

    root: str
    endings: frozenset[str]

    def plan_units(self) -> list[KeyRange]:
        """Return ranges of paths below `root`, which together are all paths.

        Raises:
            NoFolderError: there is no such folder.
        """
        with folder_errors(self.root):
            storage.check_folder(self.root)
            if self.root.split("/")[2].endswith(_DIRECTORY_BUCKET_ENDING):
                return [KeyRange("", "")]
            return find_key_ranges(self._list_page)

    def _list_page(self, start_after: str, max_keys: int) -> tuple[list[str], bool]:
        files, is_truncated = storage.list_page(self.root, start_after, max_keys)
        return [file.path for file in files], is_truncated

    def list_unit(self, remarks: UnitRemarks, unit: tuple[str, str]) -> Iterator[pa.Table]:
        """Yield LISTED of one of `plan_units`."""
        return build_rows(self.root, self.endings, self._iter_files(*unit), remarks)

    def _iter_files(self, start_after: str, end: str) -> Iterator[FileInfo]:
        with folder_errors(self.root):
            yield from storage.iter_objects(self.root, start_after, end)


class StoreFolder(NamedTuple):
    """A folder of a store that lists its files from the first on only, such as Azure."""

    root: str
    endings: frozenset[str]

    def plan_units(self) -> list[None]:
        """Return one unit.

        Raises:
            NoFolderError: there is no such folder.
        """
        with folder_errors(self.root):
            storage.check_folder(self.root)
        return [None]

    def list_unit(self, remarks: UnitRemarks, unit: Any) -> Iterator[pa.Table]:
        """Yield LISTED of all files."""
        return build_rows(self.root, self.endings, self._iter_files(), remarks)

    def _iter_files(self) -> Iterator[FileInfo]:
        with folder_errors(self.root):
            yield from storage.find_files(self.root)
