"""List files and folders of a store."""

from __future__ import annotations

import os
import posixpath
from collections.abc import Iterator
from datetime import datetime
from typing import Any, Optional

from halftone.storage import clients, object_store
from halftone.storage.local_walk import FileInfo, walk_folder
from halftone.storage.object_store import MAX_PAGE_OBJECTS, StoredObject, has_object_store
from halftone.storage.urls import is_local


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
        return sorted(walk_folder(url))
    return sorted(find_files(url))


def iter_objects(url: str, start_after: str = "", end: str = "") -> Iterator[FileInfo]:
    """Yield the objects below a folder of an object store, sorted by path, a page at a time.

    Args:
        start_after: only those behind this path below `url`; empty: from the first. Others need a
            store that lists from a key on.
        end: only those up to this path, which is included; empty: to the last.
    """
    store, root = clients.open_filesystem(url)
    with clients.translate_errors(url):
        for found in object_store.iter_objects(store, root, start_after):
            if end and found.key > end:
                return
            yield _file_info(found)


def list_page(
    url: str, start_after: str = "", max_objects: int = MAX_PAGE_OBJECTS
) -> tuple[list[FileInfo], bool]:
    """List the first objects below a folder whose paths come after `start_after`.

    Args:
        url: of a store that lists from a key on.

    Returns:
        The objects, sorted by path, and whether there are more.
    """
    store, root = clients.open_filesystem(url)
    with clients.translate_errors(url):
        objects, token = store.list_page(root, start_after, max_objects)
    return [_file_info(found) for found in objects], bool(token)


def _file_info(found: StoredObject) -> FileInfo:
    return FileInfo(found.key, found.size_bytes, found.modified.timestamp())


def check_folder(url: str) -> None:
    """Check that `url` is a remote folder.

    Raises:
        FileNotFoundError: there is no such folder.
        NotADirectoryError: the URL is that of a file.
    """
    filesystem, path = clients.open_filesystem(url)
    if has_object_store(url):
        if not list_page(url, max_objects=1)[0] and "/" in path:
            raise FileNotFoundError(url) if file_size(url) is None else NotADirectoryError(url)
        return
    with clients.translate_errors(url):
        if filesystem.info(path)["type"] == "file":
            raise NotADirectoryError(url)


def find_files(url: str) -> Iterator[FileInfo]:
    """Yield the files below a folder of a store.

    Raises:
        FileNotFoundError: there is no such folder.
        NotADirectoryError: the URL is that of a file.
    """
    if has_object_store(url):
        is_empty = True
        for found in iter_objects(url):
            is_empty = False
            yield found
        if is_empty:
            check_folder(url)
        return
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


def file_info(url: str) -> Optional[FileInfo]:
    """Return size and time of modification of a file, with the path ""; None if there is none."""
    if is_local(url):
        if not os.path.isfile(url):
            return None
        stat = os.stat(url)
        return FileInfo("", stat.st_size, stat.st_mtime)
    filesystem, path = clients.open_filesystem(url)
    try:
        with clients.translate_errors(url):
            if has_object_store(url):
                return _file_info(filesystem.object_info(path))
            info = filesystem.info(path)
    except FileNotFoundError:
        return None
    is_file = info["type"] == "file"
    return FileInfo("", int(info["size"]), _modification_time(info)) if is_file else None


def file_size(url: str) -> Optional[int]:
    """Return the size of a file in bytes; None if there is no such file, or it is a folder.

    A local link that leads nowhere is a file.
    """
    if is_local(url):
        if not os.path.lexists(url) or os.path.isdir(url):
            return None
        return os.stat(url, follow_symlinks=os.path.exists(url)).st_size
    filesystem, path = clients.open_filesystem(url)
    try:
        with clients.translate_errors(url):
            if has_object_store(url):
                return int(filesystem.object_info(path).size_bytes)
            info = filesystem.info(path)
    except FileNotFoundError:
        return None
    return int(info["size"]) if info["type"] == "file" else None
