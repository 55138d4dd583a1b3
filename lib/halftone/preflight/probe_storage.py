"""Check that driver and executors can list, write, read and delete files on a store.

The driver writes a file and each executor reads it, which detects folders that machines do not
share. Then each executor writes, lists, reads and deletes another file, and creates a file that
exists already, which the store must refuse.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, suppress
from typing import Callable, NamedTuple

from halftone import storage
from halftone.errors import RunError

_PLANTED_CONTENT, _PLANTED_NAME = b"halftone --check", "planted"
NOT_SHARED = "what the driver wrote is not there"
NOT_EXCLUSIVE = "a file that exists can be created again, so the lock of an output does not hold"


class StorageProbe(NamedTuple):
    """The URLs to check."""

    reads: tuple[str, ...]  # URLs that a job reads
    writes: tuple[str, ...]  # URLs of folders that it writes
    token: str  # unique for this check


@contextmanager
def plant_files(probe: StorageProbe) -> Iterator[dict[str, str]]:
    """Write the driver's files; yield error texts by URL, "" on success. Remove them at the end."""
    with ExitStack() as stack:
        for url in probe.writes:
            stack.enter_context(storage.remove_new_folders(url))
        try:
            yield {url: _error_text(_plant_file, url, probe.token) for url in probe.writes}
        finally:
            for url in probe.writes:
                with suppress(Exception):  # what cannot be removed could not be written either
                    storage.remove(_probe_folder(url, probe.token))


def check_urls(probe: StorageProbe, name: str) -> dict[str, str]:
    """Check all URLs of the probe; return error texts by URL, "" on success.

    Args:
        probe: the URLs.
        name: a file name that is unique for each caller.
    """
    errors = {url: _error_text(_check_exists, url) for url in probe.reads}
    errors.update(
        {url: _error_text(_check_read_write, url, probe.token, name) for url in probe.writes}
    )
    return errors


def _error_text(action: Callable[..., str], url: str, *arguments: str) -> str:
    try:
        return action(url, *arguments)
    except RunError as error:  # its message is for users and says what to do
        return str(error)
    except Exception as error:  # local folders raise other types
        text = getattr(error, "strerror", None) or " ".join(str(error).split())
        return f"{type(error).__name__}: {text}"


def _check_exists(url: str) -> str:
    return "" if storage.exists(url) else "nothing is there"


def _plant_file(url: str, token: str) -> str:
    storage.write_bytes(storage.join(_probe_folder(url, token), _PLANTED_NAME), _PLANTED_CONTENT)
    return ""


def _check_read_write(url: str, token: str, name: str) -> str:
    folder = _probe_folder(url, token)
    try:
        if storage.read_bytes(storage.join(folder, _PLANTED_NAME)) != _PLANTED_CONTENT:
            return "what the driver wrote is not what is read"
    except FileNotFoundError:
        return NOT_SHARED
    file, content = storage.join(folder, name), name.encode()
    storage.write_bytes(file, content)
    if name not in storage.list_names(folder):
        return "what was written is not listed"
    if storage.read_bytes(file) != content:
        return "what was written is not what is read"
    problem = _check_second_write(file, content)
    storage.remove(file)
    return problem or ("what was deleted is still there" if storage.exists(file) else "")


def _check_second_write(file: str, content: bytes) -> str:
    """Check what becomes of a file that is written, or created, a second time."""
    if storage.create_file(file, b"created a second time"):
        return NOT_EXCLUSIVE
    second = content * 2
    storage.write_bytes(file, second)
    # With a limit, the store is asked for a range.
    if storage.read_files([file], len(second)) != [second]:
        return "what was written a second time is not what is read"
    info = storage.file_info(file)
    if info is None or not info.modified:
        return "the store reports no time of modification, so a changed image would go unnoticed"
    return ""


def _probe_folder(url: str, token: str) -> str:
    return storage.join(url, f".halftone-check-{token}")
