"""A local folder in units: folders with all below them, or a part of what is in a large folder."""

from __future__ import annotations

import errno
import os
import zlib
from collections import deque
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from functools import partial
from typing import Any, NamedTuple

import pyarrow as pa

from halftone import storage
from halftone.errors import InputError
from halftone.listing.file_rows import build_rows
from halftone.listing.remarks import UnitRemarks
from halftone.storage import FileInfo, FolderPlace

# So many entries are looked at to find the units. Fewer are one unit.
_MAX_PLANNED_ENTRIES = 100_000
_NUM_UNITS = 64  # as a rule, for a large folder
_MAX_PARTS = 16  # each reads all names of the folder


class NoFolderError(InputError):
    """There is no folder of images at a path; the message has the path, and no cure."""


class FolderPart(NamedTuple):
    """What one unit lists of a folder below the folder of images."""

    path: str
    link_holders: list[str]  # see FolderPlace
    is_deep: bool  # also what is in folders below it
    part: int  # which of `num_parts` parts of its entries, by a hash of their names
    num_parts: int


class LocalFolder(NamedTuple):
    root: str
    endings: frozenset[str]

    def plan_units(self) -> list[list[FolderPart]]:
        """Return the units; each lists some parts of folders.

        Raises:
            NoFolderError: there is no such folder.
            InputError: one of the first folders may not be read.
        """
        with folder_errors(self.root):
            scanned, pending = self._scan()
        if not pending:
            return [[FolderPart("", [], True, 0, 1)]]
        num_parts = max(1, min(_MAX_PARTS, _NUM_UNITS // len(pending)))
        parts = [
            FolderPart(place.path, list(place.link_holders), True, part, num_parts)
            for place in pending
            for part in range(num_parts)
        ]
        units = [parts[start::_NUM_UNITS] for start in range(min(_NUM_UNITS, len(parts)))]
        files = [FolderPart(place.path, list(place.link_holders), False, 0, 1) for place in scanned]
        return [files, *units] if files else units

    def _scan(self) -> tuple[list[FolderPlace], list[FolderPlace]]:
        """Scan folders from the top, and return those that were scanned, and those to list."""
        scanned: list[FolderPlace] = []
        pending = deque([FolderPlace()])
        num_left = _MAX_PLANNED_ENTRIES
        while pending:
            subfolders = []
            for found in storage.scan_folder(self.root, pending[0]):
                num_left -= 1
                if num_left < 0:
                    return scanned, list(pending)
                if found.subfolder is not None:
                    subfolders.append(found.subfolder)
            scanned.append(pending.popleft())
            pending += subfolders
        return scanned, []

    def list_unit(self, remarks: UnitRemarks, unit: Sequence[Sequence[Any]]) -> Iterator[pa.Table]:
        """Yield LISTED of one of `plan_units`."""
        return build_rows(self.root, self.endings, self._iter_files(unit), remarks)

    def _iter_files(self, unit: Sequence[Sequence[Any]]) -> Iterator[FileInfo]:
        with folder_errors(self.root):
            for values in unit:
                part = FolderPart(*values)
                place = FolderPlace(part.path, tuple(part.link_holders))
                takes = partial(_is_in_part, part.part, part.num_parts)
                yield from storage.walk_folder(self.root, place, takes, is_deep=part.is_deep)


def _is_in_part(part: int, num_parts: int, name: str) -> bool:
    return zlib.crc32(os.fsencode(name)) % num_parts == part


@contextmanager
def folder_errors(root: str) -> Iterator[None]:
    """Translate the errors of listing files below `root`.

    Raises:
        NoFolderError: there is no such folder.
        InputError: one may not be read.
    """
    try:
        yield
    except FileNotFoundError:
        raise NoFolderError(f"{root}: no such folder") from None
    except NotADirectoryError:
        raise NoFolderError(f"{root}: is a file, not a folder of images") from None
    except PermissionError as error:
        raise InputError(
            f"{error.filename}: may not be read by this user ({error.strerror}); permit it, or "
            f"move it out of {root}"
        ) from None
    except OSError as error:
        if error.errno not in (errno.ELOOP, errno.ENAMETOOLONG):
            raise
        raise InputError(f"{error.filename}: cannot be listed: {error.strerror}") from None
