"""List files and folders of a store."""

from __future__ import annotations

import os
import posixpath
from collections.abc import Iterator, Sequence
from contextlib import suppress
from datetime import datetime
from typing import Any, NamedTuple

from halftone.storage import clients
from halftone.storage.local_files import describe_broken_link
from halftone.storage.urls import S3_PREFIX, is_local, join


class FileInfo(NamedTuple):
    path: str  # below the listed folder, with forward slashes; "" for a marker of that folder
    size_bytes: int
    modified: float  # seconds since 1970; 0 if the store does not report it
    broken_link: str = ""  # of a link that leads nowhere or to a folder around it: what it is


def list_files(url: str) -> list[FileInfo]:
    """List all files below the folder `url`, sorted by path.

    Links are followed. On a store, an object whose key ends with a slash, the marker of a folder,
    is a file too.

    Raises:
        FileNotFoundError: there is no such folder.
        NotADirectoryError: the URL is that of a file.
        PermissionError: a local folder may not be read; its `filename` names it.
    """
    if is_local(url):
        return sorted(_walk_local(url))
    return sorted(_list_s3(url) if url.startswith(S3_PREFIX) else _find_remote(url))


def _walk_local(root: str) -> Iterator[FileInfo]:
    # Folders to list; with each, the real paths of the folders that hold the links on its path.
    pending: list[tuple[str, tuple[str, ...]]] = [("", ())]
    while pending:
        folder, link_holders = pending.pop()
        location = join(root, folder) if folder else root
        try:
            entries = os.scandir(location)
        except (FileNotFoundError, NotADirectoryError):
            if not folder:
                raise
            continue  # it was removed after the folder around it was listed
        with entries:
            for entry in entries:
                path = join(folder, entry.name) if folder else entry.name
                holders, broken_link = link_holders, ""
                if entry.is_symlink():
                    holders = (*link_holders, os.path.realpath(location))
                    broken_link = describe_broken_link(entry.path) or _describe_link_loop(
                        entry.path, holders
                    )
                if not broken_link and entry.is_dir():
                    pending.append((path, holders))
                    continue
                with suppress(FileNotFoundError):  # it was removed after it was listed
                    status = entry.stat(follow_symlinks=not broken_link)
                    yield FileInfo(path, status.st_size, status.st_mtime, broken_link)


def _describe_link_loop(link: str, holders: Sequence[str]) -> str:
    """Return why the link leads back to a folder around it or around a link on the way to it."""
    target = os.path.realpath(link)
    is_around = (os.path.commonpath([holder, target]) == target for holder in holders)
    return f"a link loop: {target} contains it" if os.path.isdir(target) and any(is_around) else ""


def _list_s3(url: str) -> list[FileInfo]:
    store, root = clients.open_filesystem(url)
    _, key, _ = store.split_path(root)
    with clients.translate_errors(url):
        files = [
            FileInfo(
                found["Key"].removeprefix(f"{key}/" if key else ""),
                found["Size"],
                found["LastModified"].timestamp(),
            )
            for found in store.iter_objects(root)
        ]
        if key and not files:
            raise NotADirectoryError(url) if store.exists(root) else FileNotFoundError(url)
    return files


def _find_remote(url: str) -> Iterator[FileInfo]:
    filesystem, root = clients.open_filesystem(url)
    with clients.translate_errors(url):
        entries = filesystem.find(root, detail=True)
        if not entries and not filesystem.exists(root):
            raise FileNotFoundError(url)
    if root in entries:
        raise NotADirectoryError(url)
    for path, info in entries.items():
        yield FileInfo(path[len(root) + 1 :], int(info["size"]), _modification_time(info))


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
