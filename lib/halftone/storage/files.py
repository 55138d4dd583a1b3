"""Read whole files, and publish a file completely or not at all."""

from __future__ import annotations

import errno
import json
import os
import secrets
import shutil
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from typing import Any, Union

from halftone.errors import InputError
from halftone.storage import clients
from halftone.storage.urls import is_local

_TEMPORARY_PREFIX = ".tmp-"
# Where two wrote at the same moment.
_RETRY_AFTER_SECS = (0.1, 0.3, 1.0)
_NO_HARD_LINK_ERRNOS = {errno.EPERM, errno.ENOSYS, errno.ENOTSUP, errno.EOPNOTSUPP}


def read_bytes(url: str) -> bytes:
    """Read a whole file.

    Raises:
        OSError: it cannot be read; FileNotFoundError where it is not there.
        StoreError: the store refuses, or does not answer, as with all that follows here.
    """
    if is_local(url):
        with open(url, "rb") as file:
            return file.read()
    filesystem, path = clients.open_filesystem(url)
    with clients.translate_errors(url):
        return bytes(filesystem.cat_file(path))


def read_files(urls: Sequence[str]) -> list[Union[bytes, OSError]]:
    """Read files of one store, all at once where it is remote; an error stands in its place.

    Raises:
        StoreError: the store refuses one, or does not answer: that says nothing of the file.
    """
    if all(map(is_local, urls)):
        return [_bytes_or_error(url) for url in urls]
    filesystem, _ = clients.open_filesystem(urls[0])
    paths = [filesystem._strip_protocol(url) for url in urls]
    # Not `cat`, to which a name such as photo[1].jpg is a pattern.
    with clients.translate_errors(urls[0]):
        found = filesystem.cat_ranges(paths, None, None, on_error="return")
    return [_check_fetched(url, data) for url, data in zip(urls, found)]


def _bytes_or_error(url: str) -> Union[bytes, OSError]:
    try:
        with open(url, "rb", buffering=0) as file:
            return file.read()
    except OSError as error:
        return error


def _check_fetched(url: str, fetched: Any) -> Union[bytes, OSError]:
    if isinstance(fetched, FileNotFoundError):
        return FileNotFoundError("it was listed, and is no longer there")
    if not isinstance(fetched, Exception):
        return bytes(fetched)
    with clients.translate_errors(url):
        raise fetched


def write_bytes(url: str, data: Union[bytes, memoryview]) -> None:
    """Publish a file: a reader sees the old one or the new one, never a part."""
    if not is_local(url):
        # One PUT, or parts and what completes them: a store shows it whole or not at all.
        return _upload(url, data, "overwrite")
    with _temporary_file(url, data) as aside:
        os.replace(aside, url)


def create_file(url: str, data: bytes) -> bool:
    """Publish a small file where none is: of all who try, on any machine, one gets True.

    `data` must hold something of this call's own, such as a random text: where the store's answer
    was lost on the way, only what the file holds tells who made it. The call that made it may
    therefore repeat itself.

    Returns:
        Whether the file is this call's; False where another's was there before.
    """
    for delay_secs in (*_RETRY_AFTER_SECS, None):
        try:
            _create_local(url, data) if is_local(url) else _upload(url, data, "create")
            return True
        except (OSError, clients.StoreError):  # each store says in its own way that one is there
            with suppress(FileNotFoundError):
                return read_bytes(url) == data
            if delay_secs is None:
                raise
            # Of two at the same moment a store may refuse both, and wants to be asked again.
            time.sleep(delay_secs)
    raise AssertionError("not reached")


def _create_local(path: str, data: bytes) -> None:
    with _temporary_file(path, data) as aside:
        try:
            os.link(aside, path)  # unlike a rename it replaces nothing
        except OSError as error:
            if error.errno not in _NO_HARD_LINK_ERRNOS:
                raise
            with open(path, "xb") as file:  # a mounted store, which knows no links
                file.write(data)


def _upload(url: str, data: Union[bytes, memoryview], mode: str) -> None:
    """Upload; with mode `create` on the store's own condition that nothing is there."""
    filesystem, path = clients.open_filesystem(url)
    try:
        with clients.translate_errors(url):
            filesystem.pipe_file(path, bytes(data), mode=mode)
    except FileNotFoundError as error:  # a store has no folders that could be missing
        raise InputError(
            f"{url}: cannot be written: {str(error).rstrip('.')}; make the bucket, or correct the "
            "path"
        ) from None


@contextmanager
def _temporary_file(path: str, data: Union[bytes, memoryview]) -> Iterator[str]:
    """Write a file beside `path` and yield its name; it is gone at the end, if not renamed."""
    folder, name = os.path.split(path)
    os.makedirs(folder, exist_ok=True)
    aside = os.path.join(folder, f"{_TEMPORARY_PREFIX}{secrets.token_hex(8)}-{name}")
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


def remove(url: str) -> None:
    """Remove a file, or a folder and all below it; nothing happens where there is none."""
    if not is_local(url):
        filesystem, path = clients.open_filesystem(url)
        with suppress(FileNotFoundError), clients.translate_errors(url):
            filesystem.rm(path, recursive=True)
    elif os.path.isdir(url):
        shutil.rmtree(url, ignore_errors=True)
    elif os.path.exists(url):
        os.unlink(url)
