"""Storage by URL, through fsspec: list, read, and publish a file whole or not at all.

A URL without a scheme is a local path. Local files are handled by the standard library, which
is many times faster than going through fsspec for millions of small files.
"""

from __future__ import annotations

import errno
import io
import json
import os
import posixpath
import re
import secrets
import shutil
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from datetime import datetime
from typing import Any, NamedTuple, Optional, Union

import pyarrow as pa
import pyarrow.parquet as pq
import pyarrow_hotfix  # noqa: F401 (closes CVE-2023-47248 in pyarrow below 14.0.1)

from halftone import stores
from halftone.errors import InputError

_TEMPORARY = ".tmp-"
# Where two wrote at the same moment.
_RETRY_AFTER_SECS = (0.1, 0.3, 1.0)
_NO_LINKS = {errno.EPERM, errno.ENOSYS, errno.ENOTSUP, errno.EOPNOTSUPP}


class FileInfo(NamedTuple):
    path: str  # below the listed folder, with forward slashes
    size_bytes: int
    modified: float  # seconds since 1970; 0 where the store does not say


# How Hadoop and others call what Python has another name for. Databricks shows its file system,
# and the volumes of Unity Catalog, as folders.
_SPELLINGS = {
    re.compile(r"^file:/*"): "/",
    re.compile(r"^(?:dbfs:/*|/dbfs/)Volumes/"): "/Volumes/",
    re.compile(r"^dbfs:/*"): "/dbfs/",
    re.compile(r"^s3[an]://"): "s3://",
    re.compile(r"^gcs://"): "gs://",
}
_WITH_PASSWORD = re.compile(r"^([^:/]+)://[^/@:]*:[^/@]*@")


def normalise(url: str) -> str:
    """Return the one spelling of `url`: an absolute path for a local one, no trailing slash.

    Raises:
        InputError: it holds a password, which would be in all that is written.
    """
    refused = _WITH_PASSWORD.match(url)
    if refused:
        raise InputError(
            f"a path that begins with {refused[1]}:// holds a password; take it out, and give it "
            "as docs/storage.md says"
        )
    for spelling, ours in _SPELLINGS.items():
        url = spelling.sub(ours, url, count=1)
    if "://" in url:
        return url.rstrip("/")
    return os.path.abspath(os.path.expanduser(url))


def is_local(url: str) -> bool:
    return "://" not in url


def as_url(url: str) -> str:
    """Return `url` with a scheme, for those who insist on one."""
    return f"file://{url}" if is_local(url) else url


def join(url: str, *parts: str) -> str:
    return posixpath.join(url, *parts)


def list_files(url: str) -> list[FileInfo]:
    """List all files below the folder `url`, sorted by path.

    Names that begin with a dot or an underscore are storage's own (`.DS_Store`, `_SUCCESS`) and
    are left out, with all below them.

    Raises:
        FileNotFoundError: there is no such folder.
        NotADirectoryError: it is a file.
    """
    found = _walk(url, "") if is_local(url) else _find(url)
    return sorted(found)


def _walk(root: str, below: str) -> Iterator[FileInfo]:
    with os.scandir(os.path.join(root, below)) as entries:
        for entry in entries:
            if entry.name[0] in "._":
                continue
            path = f"{below}/{entry.name}" if below else entry.name
            if entry.is_dir():
                yield from _walk(root, path)
            else:
                # A link that leads nowhere is listed all the same: reading it will say why.
                status = entry.stat(follow_symlinks=os.path.exists(entry.path))
                yield FileInfo(path, status.st_size, status.st_mtime)


def _find(url: str) -> Iterator[FileInfo]:
    filesystem, root = stores.opened(url)
    with stores.told(url):
        found = filesystem.find(root, detail=True)
        if not found and not filesystem.exists(root):
            raise FileNotFoundError(url)
    for path, info in found.items():
        below = path[len(root) :].lstrip("/")
        if not below:
            raise NotADirectoryError(url)
        if not any(part[0] in "._" for part in below.split("/")):
            yield FileInfo(below, int(info["size"]), _modified(info))


# How fsspec's stores call the time of the last change.
_STAMPS = ("LastModified", "last_modified", "mtime", "updated", "created")


def _modified(info: dict[str, Any]) -> float:
    stamp = next((info[name] for name in _STAMPS if info.get(name)), 0.0)
    if isinstance(stamp, str):
        stamp = datetime.fromisoformat(stamp.replace("Z", "+00:00"))
    return stamp.timestamp() if isinstance(stamp, datetime) else float(stamp)


def list_names(url: str) -> list[str]:
    """Names right below the folder `url`, sorted; none where there is no such folder."""
    if is_local(url):
        return sorted(os.listdir(url)) if os.path.isdir(url) else []
    filesystem, path = stores.opened(url)
    try:
        # Not `isdir`, which says of a store that is away that there is no folder.
        with stores.told(url):
            names = [name.rstrip("/") for name in filesystem.ls(path, detail=False)]
    except (FileNotFoundError, NotADirectoryError):
        return []
    return sorted(posixpath.basename(name) for name in names if name.strip("/") != path.strip("/"))


def exists(url: str) -> bool:
    if is_local(url):
        return os.path.exists(url)
    filesystem, path = stores.opened(url)
    with stores.told(url):
        return bool(filesystem.exists(path))


def read_bytes(url: str) -> bytes:
    """Read a whole file.

    Raises:
        OSError: it cannot be read; FileNotFoundError where it is not there.
        StoreError: the store refuses, or does not answer, as with all that follows here.
    """
    if is_local(url):
        with open(url, "rb") as file:
            return file.read()
    filesystem, path = stores.opened(url)
    with stores.told(url):
        return bytes(filesystem.cat_file(path))


def read_many(urls: Sequence[str]) -> list[Union[bytes, OSError]]:
    """Read files of one store, all at once where it is remote; an error stands in its place.

    Raises:
        StoreError: the store refuses one, or does not answer: that says nothing of the file.
    """
    if all(map(is_local, urls)):
        return [_bytes_or_error(url) for url in urls]
    filesystem, _ = stores.opened(urls[0])
    paths = [filesystem._strip_protocol(url) for url in urls]
    # Not `cat`, to which a name such as photo[1].jpg is a pattern.
    with stores.told(urls[0]):
        found = filesystem.cat_ranges(paths, None, None, on_error="return")
    return [_as_read(url, data) for url, data in zip(urls, found)]


def _bytes_or_error(url: str) -> Union[bytes, OSError]:
    try:
        with open(url, "rb", buffering=0) as file:
            return file.read()
    except OSError as error:
        return error


def _as_read(url: str, found: Any) -> Union[bytes, OSError]:
    if isinstance(found, FileNotFoundError):
        return FileNotFoundError("it was listed, and is no longer there")
    if not isinstance(found, Exception):
        return bytes(found)
    with stores.told(url):
        raise found


def write_bytes(url: str, data: Union[bytes, memoryview]) -> None:
    """Publish a file: a reader sees the old one or the new one, never a part."""
    if not is_local(url):
        # One PUT, or parts and what completes them: a store shows it whole or not at all.
        return _put(url, data, "overwrite")
    with _aside(url, data) as aside:
        os.replace(aside, url)


def write_new(url: str, data: bytes) -> bool:
    """Publish a small file where none is: of all who try, on any machine, one gets True.

    `data` must hold something of this call's own, such as a random text: where the store's answer
    was lost on the way, only what the file holds tells who made it. The call that made it may
    therefore repeat itself.

    Returns:
        Whether the file is this call's; False where another's was there before.
    """
    for delay_secs in (*_RETRY_AFTER_SECS, None):
        try:
            _create(url, data) if is_local(url) else _put(url, data, "create")
            return True
        except (OSError, stores.StoreError):  # each store says in its own way that one is there
            with suppress(FileNotFoundError):
                return read_bytes(url) == data
            if delay_secs is None:
                raise
            # Of two at the same moment a store may refuse both, and wants to be asked again.
            time.sleep(delay_secs)
    raise AssertionError("not reached")


def _create(path: str, data: bytes) -> None:
    with _aside(path, data) as aside:
        try:
            os.link(aside, path)  # unlike a rename it replaces nothing
        except OSError as error:
            if error.errno not in _NO_LINKS:
                raise
            with open(path, "xb") as file:  # a mounted store, which knows no links
                file.write(data)


def _put(url: str, data: Union[bytes, memoryview], mode: str) -> None:
    """Upload; with mode `create` on the store's own condition that nothing is there."""
    filesystem, path = stores.opened(url)
    try:
        with stores.told(url):
            filesystem.pipe_file(path, bytes(data), mode=mode)
    except FileNotFoundError as error:  # a store has no folders that could be missing
        raise InputError(
            f"{url}: cannot be written: {str(error).rstrip('.')}; make the bucket, or correct the "
            "path"
        ) from None


@contextmanager
def _aside(path: str, data: Union[bytes, memoryview]) -> Iterator[str]:
    """Write a file beside `path` and yield its name; it is gone at the end, if not renamed."""
    folder, name = os.path.split(path)
    os.makedirs(folder, exist_ok=True)
    aside = os.path.join(folder, f"{_TEMPORARY}{secrets.token_hex(8)}-{name}")
    try:
        with open(aside, "wb") as file:
            file.write(data)
            file.flush()
            os.fsync(file.fileno())
        yield aside
    finally:
        if os.path.exists(aside):
            os.unlink(aside)


def read_json(url: str) -> Any:
    """Raises OSError, or ValueError where the file holds no JSON."""
    return json.loads(read_bytes(url))


def write_json(url: str, value: Any) -> None:
    write_bytes(url, (json.dumps(value, indent=2) + "\n").encode())


def read_table(url: str, columns: Optional[list[str]] = None) -> pa.Table:
    """Read a Parquet file, or some of its columns."""
    if is_local(url):
        return pq.ParquetFile(url, memory_map=True).read(columns)
    with _opened(url) as file:
        return pq.ParquetFile(file).read(columns)


def read_row_group(url: str, number: int) -> pa.Table:
    """Read one row group of a Parquet file."""
    if is_local(url):
        return pq.ParquetFile(url, memory_map=True).read_row_group(number)
    with _opened(url) as file:
        return pq.ParquetFile(file).read_row_group(number)


def num_row_groups(url: str) -> int:
    if is_local(url):
        return int(pq.ParquetFile(url).num_row_groups)
    with _opened(url) as file:
        return int(pq.ParquetFile(file).num_row_groups)


@contextmanager
def _opened(url: str) -> Iterator[Any]:
    filesystem, path = stores.opened(url)
    with stores.told(url), filesystem.open(path, "rb") as file:
        yield file


def write_table(url: str, table: pa.Table, rows_per_group: Optional[int] = None) -> int:
    """Publish `table` as a Parquet file, by default of one row group; return its size in bytes.

    Nothing is compressed: pixels of photographs hardly shrink, and readers would pay for it.
    """
    buffer = io.BytesIO()
    with pq.ParquetWriter(buffer, table.schema, compression="NONE", use_dictionary=False) as writer:
        writer.write_table(table, row_group_size=rows_per_group or max(1, table.num_rows))
    write_bytes(url, buffer.getbuffer())
    return buffer.getbuffer().nbytes


def remove(url: str) -> None:
    """Remove a file, or a folder and all below it; nothing happens where there is none."""
    if not is_local(url):
        filesystem, path = stores.opened(url)
        with suppress(FileNotFoundError), stores.told(url):
            filesystem.rm(path, recursive=True)
    elif os.path.isdir(url):
        shutil.rmtree(url, ignore_errors=True)
    elif os.path.exists(url):
        os.unlink(url)
