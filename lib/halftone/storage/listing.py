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
    modified: float  # seconds since 1970; 0 if the store does not report it


def list_files(url: str) -> list[FileInfo]:
    """List all files below the folder `url`, sorted by path.

    Files and folders whose names begin with a dot or an underscore belong to tools (`.DS_Store`,
    `_SUCCESS`) and are skipped.

    Raises:
        FileNotFoundError: there is no such folder.
        NotADirectoryError: the URL is that of a file.
    """
    return sorted(_walk_local(url, "") if is_local(url) else _find_remote(url))


def _walk_local(root: str, folder: str) -> Iterator[FileInfo]:
    with os.scandir(os.path.join(root, folder)) as entries:
        for entry in entries:
            if entry.name[0] in "._":
                continue
            path = f"{folder}/{entry.name}" if folder else entry.name
            if entry.is_dir():
                yield from _walk_local(root, path)
            else:
                # List broken links too: reading one gives an error with its cause.
                status = entry.stat(follow_symlinks=os.path.exists(entry.path))
                yield FileInfo(path, status.st_size, status.st_mtime)


def _find_remote(url: str) -> Iterator[FileInfo]:
    filesystem, root = clients.open_filesystem(url)
    with clients.translate_errors(url):
        entries = filesystem.find(root, detail=True)
        if not entries and not filesystem.exists(root):
            raise FileNotFoundError(url)
    for path, info in entries.items():
        relative = path[len(root) :].lstrip("/")
        if not relative:
            raise NotADirectoryError(url)
        if not any(part[0] in "._" for part in relative.split("/")):
            yield FileInfo(relative, int(info["size"]), _modification_time(info))


# Names of the modification time in the different file systems of fsspec.
_MODIFIED_KEYS = ("LastModified", "last_modified", "mtime", "updated", "created")


def _modification_time(info: dict[str, Any]) -> float:
    timestamp = next((info[name] for name in _MODIFIED_KEYS if info.get(name)), 0.0)
    if isinstance(timestamp, str):
        timestamp = datetime.fromisoformat(timestamp.replace("Z", "+00:00"))
    return timestamp.timestamp() if isinstance(timestamp, datetime) else float(timestamp)


def list_names(url: str) -> list[str]:
    """List the names directly below the folder `url`, sorted; empty if there is no such folder."""
    if is_local(url):
        return sorted(os.listdir(url)) if os.path.isdir(url) else []
    filesystem, path = clients.open_filesystem(url)
    try:
        # Not `isdir`, which returns False if the store does not respond.
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
