"""Read whole files, and write files atomically."""

from __future__ import annotations

import errno
import io
import json
import os
import secrets
import shutil
import tempfile
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from typing import IO, Any, Optional, Union

from halftone.errors import InputError
from halftone.storage import clients, local_files, web
from halftone.storage.object_store import has_object_store
from halftone.storage.urls import is_local

_TEMPORARY_PREFIX = ".tmp-"
_STREAM_BYTES = 2**20
# Delays before retries, after two writers collided.
_RETRY_AFTER_SECS = (0.1, 0.3, 1.0)
# Other callers that saw no file either have written theirs by then.
_SETTLE_SECS = 2.0
_NO_HARD_LINK_ERRNOS = {errno.EPERM, errno.ENOSYS, errno.ENOTSUP, errno.EOPNOTSUPP}


def read_bytes(url: str) -> bytes:
    """Read a whole file.

    Raises:
        OSError: the file cannot be read; FileNotFoundError if it does not exist.
        StoreError: the store denies access or does not respond. All functions of this module raise
            it.
    """
    if is_local(url):
        with open(url, "rb") as file:
            return file.read()
    filesystem, path = clients.open_filesystem(url)
    with clients.translate_errors(url):
        return bytes(filesystem.cat_file(path))


@contextmanager
def open_file(url: str) -> Iterator[io.BufferedReader]:
    """Open a file to read its bytes piece by piece.

    Raises:
        FileNotFoundError: there is no such file.
    """
    if is_local(url):
        with open(url, "rb", buffering=0) as local:
            yield io.BufferedReader(local, _STREAM_BYTES)
        return
    filesystem, path = clients.open_filesystem(url)
    with clients.translate_errors(url), filesystem.open(path, "rb") as remote:
        yield io.BufferedReader(remote, _STREAM_BYTES)


def read_files(urls: Sequence[str], max_bytes: Optional[int] = None) -> list[Union[bytes, OSError]]:
    """Read files of one store, concurrently if it is remote.

    Args:
        max_bytes: a larger file gives an OSError.

    Returns:
        For each file its bytes, or an OSError that says why it cannot be read.

    Raises:
        StoreError: the store denies access to a file or does not respond.
    """
    if all(map(is_local, urls)):
        return [local_files.read_file(url, max_bytes) for url in urls]
    if urls[0].startswith(web.PREFIXES):
        return web.read_urls(urls, max_bytes)
    readable = [url for url in urls if "\0" not in url]
    contents = iter(_read_remote(readable, max_bytes) if readable else [])
    nul_error = OSError(errno.EINVAL, local_files.NUL_IN_PATH)
    return [nul_error if "\0" in url else next(contents) for url in urls]


def _read_remote(urls: Sequence[str], max_bytes: Optional[int]) -> list[Union[bytes, OSError]]:
    filesystem, paths = clients.open_files(urls)
    limits = (None, None) if max_bytes is None else (0, max_bytes + 1)
    # Not `cat`, which treats a name such as photo[1].jpg as a pattern.
    with clients.translate_errors(urls[0]):
        contents = filesystem.cat_ranges(paths, *limits, on_error="return")
    results = []
    for url, path, content in zip(urls, paths, contents):
        with clients.translate_errors(url):
            results.append(_check_fetched(filesystem, path, content, max_bytes))
    return results


def _check_fetched(
    filesystem: Any, path: str, fetched: Any, max_bytes: Optional[int]
) -> Union[bytes, OSError]:
    if isinstance(fetched, FileNotFoundError):
        return FileNotFoundError("the file was listed, but no longer exists")
    if isinstance(fetched, Exception):
        # Stores refuse any range of an empty file.
        if max_bytes is not None and filesystem.size(path) == 0:
            return b""
        raise fetched
    if max_bytes is not None and len(fetched) > max_bytes:
        return local_files.too_large(filesystem.size(path), max_bytes)
    return bytes(fetched)


def write_bytes(url: str, data: Union[bytes, memoryview]) -> None:
    """Write a file atomically: a reader sees the old content or the new one, never a part."""
    if not is_local(url):
        # One PUT, or a multipart upload: both are atomic.
        return _upload(url, data, "overwrite")
    with _temporary_file(url, data) as temporary:
        os.replace(temporary, url)


def create_file(url: str, data: bytes) -> bool:
    """Create a small file if it does not exist; of concurrent callers, exactly one gets True.

    Args:
        data: must be unique to the caller, such as a random text. If the store's response was lost,
            the content of the file shows which caller created it. That caller may thus repeat the
            call.

    Returns:
        Whether this caller created the file; False if another one did.
    """
    for delay_secs in (*_RETRY_AFTER_SECS, None):
        try:
            _create_local(url, data) if is_local(url) else _upload(url, data, "create")
            return True
        except (OSError, clients.StoreError) as error:
            # Stores report an existing file in different ways.
            with suppress(FileNotFoundError):
                return read_bytes(url) == data
            if clients.is_not_implemented(error):
                return _create_unconditionally(url, data)
            if delay_secs is None:
                raise
            # A store may reject both of two simultaneous requests; retry.
            time.sleep(delay_secs)
    raise AssertionError("not reached")


def _create_unconditionally(url: str, data: bytes) -> bool:
    """Create a file that does not exist on a store that cannot check this; the last caller wins."""
    write_bytes(url, data)
    time.sleep(_SETTLE_SECS)
    return read_bytes(url) == data


def _create_local(path: str, data: bytes) -> None:
    with _temporary_file(path, data) as temporary:
        try:
            os.link(temporary, path)  # fails if the path exists, unlike a rename
        except OSError as error:
            if error.errno not in _NO_HARD_LINK_ERRNOS:
                raise
            with open(path, "xb") as file:  # a mounted store without hard links
                file.write(data)


def _upload(url: str, data: Union[bytes, memoryview], mode: str) -> None:
    """Upload; mode `create` makes the store reject the upload if the file exists."""
    filesystem, path = clients.open_filesystem(url)
    try:
        with clients.translate_errors(url):
            filesystem.pipe_file(path, bytes(data), mode=mode)
    except FileNotFoundError as error:  # no bucket; stores have no folders that could be missing
        raise InputError(
            f"{url}: cannot be written: {str(error).rstrip('.')}; create the bucket, or correct "
            "the path"
        ) from None


@contextmanager
def open_new_file(url: str) -> Iterator[IO[bytes]]:
    """Write a large file piece by piece: it appears when the body has ended without an error.

    The pieces of a file on a store wait in a local temporary file.
    """
    if is_local(url):
        with _temporary_path(url) as temporary:
            with open(temporary, "wb") as local:
                yield local
                local.flush()
                os.fsync(local.fileno())
            os.replace(temporary, url)
        return
    with tempfile.NamedTemporaryFile() as pending:
        yield pending
        pending.flush()
        filesystem, path = clients.open_filesystem(url)
        with clients.translate_errors(url):
            filesystem.put_file(pending.name, path)


@contextmanager
def _temporary_file(path: str, data: Union[bytes, memoryview]) -> Iterator[str]:
    """Write a file beside `path`, yield its name, and delete it unless it was renamed."""
    with _temporary_path(path) as temporary:
        with open(temporary, "wb") as file:
            file.write(data)
            file.flush()
            os.fsync(file.fileno())
        yield temporary


@contextmanager
def _temporary_path(path: str) -> Iterator[str]:
    """Yield the name of a new file beside `path`, and delete it unless it was renamed."""
    folder, name = os.path.split(path)
    os.makedirs(folder, exist_ok=True)
    temporary = os.path.join(folder, f"{_TEMPORARY_PREFIX}{secrets.token_hex(8)}-{name}")
    try:
        yield temporary
    finally:
        if os.path.exists(temporary):
            os.unlink(temporary)


def read_json(url: str) -> Any:
    """Read a JSON file.

    Raises:
        OSError: the file cannot be read.
        ValueError: the file is not JSON.
    """
    return json.loads(read_bytes(url))


def write_json(url: str, value: Any) -> None:
    """Write a JSON file atomically, indented by 2 spaces."""
    write_bytes(url, (json.dumps(value, indent=2) + "\n").encode())


def remove(url: str) -> None:
    """Remove a file, or a folder and all files below it; do nothing if there is none."""
    if not is_local(url):
        filesystem, path = clients.open_filesystem(url)
        with suppress(FileNotFoundError), clients.translate_errors(url):
            if has_object_store(url) or hasattr(filesystem, "delete_tree"):
                filesystem.delete_tree(path)
            elif any(character in path for character in "*?["):  # `rm` takes it for a pattern
                for file in filesystem.find(path):
                    filesystem.rm_file(file)
            else:
                filesystem.rm(path, recursive=True)
    elif os.path.isdir(url):
        shutil.rmtree(url, ignore_errors=True)
    elif os.path.exists(url):
        os.unlink(url)
