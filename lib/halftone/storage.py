"""Storage by URL, through fsspec: list, read, and publish a file whole or not at all.

A URL without a scheme is a local path. Local files are handled by the standard library, which
is many times faster than going through fsspec for millions of small files.
"""

from __future__ import annotations

import io
import json
import os
import posixpath
import secrets
import shutil
from collections.abc import Iterator, Sequence
from datetime import datetime
from functools import cache
from typing import Any, NamedTuple, Optional, Union

import fsspec
import pyarrow as pa
import pyarrow.parquet as pq
import pyarrow_hotfix  # noqa: F401 (closes CVE-2023-47248 in pyarrow below 14.0.1)

_TEMPORARY = ".tmp-"


class FileInfo(NamedTuple):
    path: str  # below the listed folder, with forward slashes
    size_bytes: int
    modified: float  # seconds since 1970; 0 where the store does not say


def normalise(url: str) -> str:
    """Return the one spelling of `url`: an absolute path for a local one, no trailing slash."""
    if url.startswith("file:"):
        url = "/" + url[len("file:") :].lstrip("/")
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
    filesystem, root = _filesystem(url)
    if not filesystem.exists(root):
        raise FileNotFoundError(url)
    for path, info in filesystem.find(root, detail=True).items():
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
    filesystem, path = _filesystem(url)
    if not filesystem.isdir(path):
        return []
    return sorted(posixpath.basename(name.rstrip("/")) for name in filesystem.ls(path, False))


def exists(url: str) -> bool:
    if is_local(url):
        return os.path.exists(url)
    filesystem, path = _filesystem(url)
    return bool(filesystem.exists(path))


def read_bytes(url: str) -> bytes:
    """Read a whole file. Raises OSError (FileNotFoundError where it is not there)."""
    if is_local(url):
        with open(url, "rb") as file:
            return file.read()
    filesystem, path = _filesystem(url)
    return bytes(filesystem.cat_file(path))


def read_many(urls: Sequence[str]) -> list[Union[bytes, OSError]]:
    """Read files of one store, all at once where it is remote; an error stands in its place."""
    if all(map(is_local, urls)):
        return [_bytes_or_error(url) for url in urls]
    filesystem, _ = _filesystem(urls[0])
    paths = [filesystem._strip_protocol(url) for url in urls]
    # Not `cat`, to which a name such as photo[1].jpg is a pattern.
    return [
        _as_read(found) for found in filesystem.cat_ranges(paths, None, None, on_error="return")
    ]


def _bytes_or_error(url: str) -> Union[bytes, OSError]:
    try:
        with open(url, "rb", buffering=0) as file:
            return file.read()
    except OSError as error:
        return error


def _as_read(found: Any) -> Union[bytes, OSError]:
    if isinstance(found, (bytes, OSError)):
        return found
    if isinstance(found, Exception):  # a store's own kind of error
        return OSError(f"{type(found).__name__}: {found}")
    return bytes(found)


def write_bytes(url: str, data: Union[bytes, memoryview]) -> None:
    """Publish a file: a reader sees the old one or the new one, never a part."""
    if not is_local(url):
        filesystem, path = _filesystem(url)
        filesystem.pipe_file(
            path, bytes(data)
        )  # one PUT: object stores show it whole or not at all
        return
    folder, name = os.path.split(url)
    os.makedirs(folder, exist_ok=True)
    aside = os.path.join(folder, f"{_TEMPORARY}{secrets.token_hex(8)}-{name}")
    try:
        with open(aside, "wb") as file:
            file.write(data)
            file.flush()
            os.fsync(file.fileno())
        os.replace(aside, url)
    except BaseException:
        if os.path.exists(aside):
            os.unlink(aside)
        raise


def read_json(url: str) -> Any:
    """Raises OSError, or ValueError where the file holds no JSON."""
    return json.loads(read_bytes(url))


def write_json(url: str, value: Any) -> None:
    write_bytes(url, (json.dumps(value, indent=2) + "\n").encode())


def read_table(url: str, columns: Optional[list[str]] = None) -> pa.Table:
    """Read a Parquet file, or some of its columns."""
    if is_local(url):
        return pq.ParquetFile(url, memory_map=True).read(columns)
    with fsspec.open(url, "rb") as file:
        return pq.ParquetFile(file).read(columns)


def read_row_group(url: str, number: int) -> pa.Table:
    """Read one row group of a Parquet file."""
    if is_local(url):
        return pq.ParquetFile(url, memory_map=True).read_row_group(number)
    with fsspec.open(url, "rb") as file:
        return pq.ParquetFile(file).read_row_group(number)


def num_row_groups(url: str) -> int:
    if is_local(url):
        return int(pq.ParquetFile(url).num_row_groups)
    with fsspec.open(url, "rb") as file:
        return int(pq.ParquetFile(file).num_row_groups)


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
        filesystem, path = _filesystem(url)
        if filesystem.exists(path):
            filesystem.rm(path, recursive=True)
    elif os.path.isdir(url):
        shutil.rmtree(url, ignore_errors=True)
    elif os.path.exists(url):
        os.unlink(url)


def _filesystem(url: str) -> tuple[Any, str]:
    protocol, _, rest = url.partition("://")
    filesystem = _of_protocol(protocol, rest.split("/")[0] if protocol in _WITH_HOST else "")
    return filesystem, filesystem._strip_protocol(url).rstrip("/")


# Stores of which another host is another file system.
_WITH_HOST = {"hdfs", "webhdfs", "abfs", "abfss"}
# botocore's own 10 connections would hold back a chunk of files that is read at once.
_OPTIONS = {"s3": {"config_kwargs": {"max_pool_connections": 64}}}


@cache
def _of_protocol(protocol: str, host: str) -> Any:
    """One client for all threads of a process; fsspec alone would make one for each."""
    filesystem, _ = fsspec.core.url_to_fs(f"{protocol}://{host}", **_OPTIONS.get(protocol, {}))
    return filesystem
