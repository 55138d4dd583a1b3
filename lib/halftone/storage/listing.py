"""List files and folders of a store."""

from __future__ import annotations

import os
import posixpath
from collections.abc import Iterator
from datetime import datetime
from typing import Any, NamedTuple

from halftone.storage import clients
from halftone.storage.urls import is_local


class FileInfo(NamedTuple):
    path: str  # below the listed folder, with forward slashes
    size_bytes: int
    modified: float  # seconds since 1970; 0 where the store does not say


def list_files(url: str) -> list[FileInfo]:
    """List all files below the folder `url`, sorted by path.

    Names that begin with a dot or an underscore are storage's own (`.DS_Store`, `_SUCCESS`) and
    are left out, with all below them.

    Raises:
        FileNotFoundError: there is no such folder.
        NotADirectoryError: it is a file.
    """
    found = _walk_local(url, "") if is_local(url) else _find_remote(url)
    return sorted(found)


def _walk_local(root: str, folder: str) -> Iterator[FileInfo]:
    with os.scandir(os.path.join(root, folder)) as entries:
        for entry in entries:
            if entry.name[0] in "._":
                continue
            path = f"{folder}/{entry.name}" if folder else entry.name
            if entry.is_dir():
                yield from _walk_local(root, path)
            else:
                # A link that leads nowhere is listed all the same: reading it will say why.
                status = entry.stat(follow_symlinks=os.path.exists(entry.path))
                yield FileInfo(path, status.st_size, status.st_mtime)


def _find_remote(url: str) -> Iterator[FileInfo]:
    filesystem, root = clients.open_filesystem(url)
    with clients.translate_errors(url):
        found = filesystem.find(root, detail=True)
        if not found and not filesystem.exists(root):
            raise FileNotFoundError(url)
    for path, info in found.items():
        below = path[len(root) :].lstrip("/")
        if not below:
            raise NotADirectoryError(url)
        if not any(part[0] in "._" for part in below.split("/")):
            yield FileInfo(below, int(info["size"]), _modification_time(info))


# How fsspec's stores call the time of the last change.
_MODIFIED_KEYS = ("LastModified", "last_modified", "mtime", "updated", "created")


def _modification_time(info: dict[str, Any]) -> float:
    stamp = next((info[name] for name in _MODIFIED_KEYS if info.get(name)), 0.0)
    if isinstance(stamp, str):
        stamp = datetime.fromisoformat(stamp.replace("Z", "+00:00"))
    return stamp.timestamp() if isinstance(stamp, datetime) else float(stamp)


def list_names(url: str) -> list[str]:
    """Names right below the folder `url`, sorted; none where there is no such folder."""
    if is_local(url):
        return sorted(os.listdir(url)) if os.path.isdir(url) else []
    filesystem, path = clients.open_filesystem(url)
    try:
        # Not `isdir`, which says of a store that is away that there is no folder.
        with clients.translate_errors(url):
            names = [name.rstrip("/") for name in filesystem.ls(path, detail=False)]
    except (FileNotFoundError, NotADirectoryError):
        return []
    return sorted(posixpath.basename(name) for name in names if name.strip("/") != path.strip("/"))


def exists(url: str) -> bool:
    if is_local(url):
        return os.path.exists(url)
    filesystem, path = clients.open_filesystem(url)
    with clients.translate_errors(url):
        return bool(filesystem.exists(path))
