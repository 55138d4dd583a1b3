"""Whether a store does what a job needs of it: list, write, read and delete, from everywhere.

The driver plants a file; each executor reads that, so that a folder which is another one on each
machine is found out, and then writes, lists, reads and deletes a file of its own.
"""

from __future__ import annotations

import os
import posixpath
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from typing import Callable, NamedTuple

from halftone import storage
from halftone.errors import RunError

_PLANTED_CONTENT, _PLANTED_NAME = b"halftone --check", "planted"
NOT_SHARED = "what the driver wrote is not there"


class StorageProbe(NamedTuple):
    """What is asked of the stores."""

    reads: tuple[str, ...]  # URLs of what a job reads
    writes: tuple[str, ...]  # URLs of folders that it writes
    token: str  # of this check


@contextmanager
def plant_files(probe: StorageProbe) -> Iterator[dict[str, str]]:
    """Write the driver's files; yield what went wrong, by URL. In the end all is as it was."""
    missing = {url: _first_missing_folder(url) for url in probe.writes}
    try:
        yield {url: _error_text(_plant_file, url, probe.token) for url in probe.writes}
    finally:
        for url in probe.writes:
            with suppress(Exception):  # what cannot be removed could not be written
                storage.remove(_probe_folder(url, probe.token))
                _remove_empty_folders(url, missing[url])


def check_urls(probe: StorageProbe, name: str) -> dict[str, str]:
    """For each URL of the probe: empty where it does what it should, else what went wrong.

    Args:
        name: a file name, another one for each caller.
    """
    found = {url: _error_text(_check_exists, url) for url in probe.reads}
    found.update(
        {url: _error_text(_check_read_write, url, probe.token, name) for url in probe.writes}
    )
    return found


def _error_text(action: Callable[..., str], url: str, *arguments: str) -> str:
    try:
        return action(url, *arguments)
    except RunError as error:  # in our words, with the cure
        return str(error)
    except Exception as error:  # a folder of this machine raises its own kinds
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
    storage.remove(file)
    return "what was deleted is still there" if storage.exists(file) else ""


def _probe_folder(url: str, token: str) -> str:
    return storage.join(url, f".halftone-check-{token}")


def _first_missing_folder(url: str) -> str:
    """The highest folder that writing below a local `url` makes; empty where it makes none."""
    missing = ""
    while storage.is_local(url) and not os.path.exists(url):
        missing, url = url, posixpath.dirname(url)
    return missing


def _remove_empty_folders(url: str, top: str) -> None:
    """Remove local folders from `url` up to `top` that hold nothing."""
    while top and len(url) >= len(top):
        os.rmdir(url)
        url = posixpath.dirname(url)
