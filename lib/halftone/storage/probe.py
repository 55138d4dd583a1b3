"""Find out before a job starts whether its output can be written."""

from __future__ import annotations

import secrets

from halftone.errors import InputError
from halftone.storage import clients, files
from halftone.storage.urls import join

_PROBE_BYTES = 4096  # an empty file fits on a full disk
_PROBE_PREFIX = "_probe-"  # Spark ignores names with a leading underscore


def check_writable(folder: str) -> None:
    """Write and remove a small file in `folder`, which is created if it does not exist.

    Args:
        folder: a path or URL.

    Raises:
        InputError: the folder cannot be written; the message has the folder and the cause.
        StoreError: the store does not respond, which another attempt may change.
    """
    probe = join(folder, f"{_PROBE_PREFIX}{secrets.token_hex(8)}")
    try:
        files.write_bytes(probe, b"x" * _PROBE_BYTES)
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
