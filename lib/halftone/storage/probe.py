"""Find out before a job starts whether its output can be written."""

from __future__ import annotations

import os
import secrets
from collections.abc import Iterator
from contextlib import contextmanager, suppress

from halftone.errors import InputError
from halftone.storage import clients, files
from halftone.storage.urls import is_local, join

_PROBE_BYTES = 4096  # an empty file fits on a full disk
_PROBE_PREFIX = "_probe-"  # Spark ignores names with a leading underscore
_NUM_TRIES = 3


def check_writable(folder: str) -> None:
    """Write and remove a small file in `folder`; leave no folder that did not exist.

    Args:
        folder: a path or URL.

    Raises:
        InputError: the folder cannot be written; the message has the folder and the cause.
        StoreError: the store does not respond, which another attempt may change.
    """
    probe = join(folder, f"{_PROBE_PREFIX}{secrets.token_hex(8)}")
    try:
        with remove_new_folders(folder):
            _write_probe(probe)
            files.remove(probe)
    except clients.AccessDeniedError as error:
        raise InputError(f"{folder}: cannot be written: {error}") from None
    except (FileExistsError, NotADirectoryError):
        raise InputError(
            f"{folder}: cannot be written: it, or a part of its path, is a file; give another path"
        ) from None
    except OSError as error:
        raise InputError(
            f"{folder}: cannot be written: {error.strerror or error}; correct the permissions, "
            "make room, or give another path"
        ) from None


def _write_probe(probe: str) -> None:
    for tries_left in reversed(range(_NUM_TRIES)):
        try:
            return files.write_bytes(probe, b"x" * _PROBE_BYTES)
        except FileNotFoundError:  # another process has just removed the folder as a new one
            if not tries_left:
                raise


@contextmanager
def remove_new_folders(folder: str) -> Iterator[None]:
    """At the end remove what the body has created of a local path, as far as it is empty."""
    created = _missing_folders(folder)
    try:
        yield
    finally:
        with suppress(OSError):  # not empty, or not created
            for path in created:
                os.rmdir(path)


def _missing_folders(folder: str) -> list[str]:
    """Return the folders that writing to a local `folder` would create, the deepest first."""
    missing = []
    while is_local(folder) and folder and not os.path.lexists(folder):
        missing.append(folder)
        folder = os.path.dirname(folder)
    return missing
