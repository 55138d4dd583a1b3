"""Go through local folders, follow links, and tell those that lead nowhere or in a circle."""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from contextlib import suppress
from typing import Callable, NamedTuple, Optional

from halftone.storage.local_files import describe_broken_link
from halftone.storage.urls import join


class FileInfo(NamedTuple):
    path: str  # below the listed folder, with forward slashes; "" for a marker of that folder
    size_bytes: int
    modified: float  # seconds since 1970; 0 if the store does not report it
    broken_link: str = ""  # of a link that leads nowhere or to a folder around it: what it is


class FolderPlace(NamedTuple):
    path: str = ""  # below the listed folder
    link_holders: tuple[str, ...] = ()  # real paths of the folders that hold the links on the way


TOP = FolderPlace()


class FolderEntry(NamedTuple):
    """A file or folder as its folder has it, before its size is looked up."""

    entry: os.DirEntry[str]
    path: str  # below the listed folder
    subfolder: Optional[FolderPlace]  # None: it is a file
    broken_link: str

    def stat_file(self) -> FileInfo:
        """Return the file.

        Raises:
            FileNotFoundError: it was removed after it was listed.
        """
        status = self.entry.stat(follow_symlinks=not self.broken_link)
        return FileInfo(self.path, status.st_size, status.st_mtime, self.broken_link)


def scan_folder(
    root: str, place: FolderPlace, takes: Optional[Callable[[str], bool]] = None
) -> Iterator[FolderEntry]:
    """Yield what is directly in a folder below `root`, or nothing if it was removed meanwhile.

    Args:
        takes: tells by its name whether an entry counts; None: each counts.

    Raises:
        FileNotFoundError: there is no folder `root`.
        NotADirectoryError: `root` is a file.
        PermissionError: a folder may not be read; its `filename` names it.
    """
    location = join(root, place.path) if place.path else root
    try:
        entries = os.scandir(location)
    except (FileNotFoundError, NotADirectoryError):
        if not place.path:
            raise
        return  # it was removed after the folder around it was listed
    with entries:
        for entry in entries:
            if takes is not None and not takes(entry.name):
                continue
            path = join(place.path, entry.name) if place.path else entry.name
            holders, broken_link = place.link_holders, ""
            if entry.is_symlink():
                broken_link = describe_broken_link(entry.path)
                if not broken_link and entry.is_dir():  # real paths take long, so only then
                    holders = (*holders, os.path.realpath(location))
                    broken_link = _describe_link_loop(entry.path, holders)
            is_folder = not broken_link and entry.is_dir()
            yield FolderEntry(
                entry, path, FolderPlace(path, holders) if is_folder else None, broken_link
            )


def _describe_link_loop(link: str, holders: Sequence[str]) -> str:
    """Return why a link to a folder leads back to one around it or around a link on the way."""
    target = os.path.realpath(link)
    is_around = (os.path.commonpath([holder, target]) == target for holder in holders)
    return f"a link loop: {target} contains it" if any(is_around) else ""


def walk_folder(
    root: str,
    top: FolderPlace = TOP,
    takes: Optional[Callable[[str], bool]] = None,
    *,
    is_deep: bool = True,
) -> Iterator[FileInfo]:
    """Yield the files below a folder, in no order.

    Args:
        top: the folder, below `root`.
        takes: tells by its name whether an entry of the folder `top` counts.
        is_deep: also the files in folders below `top`.

    Raises:
        OSError: as `scan_folder`.
    """
    pending = [top]
    while pending:
        place = pending.pop()
        for found in scan_folder(root, place, takes if place is top else None):
            if found.subfolder is None:
                with suppress(FileNotFoundError):
                    yield found.stat_file()
            elif is_deep:
                pending.append(found.subfolder)
