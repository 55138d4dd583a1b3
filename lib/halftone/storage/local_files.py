"""Read local paths that may be anything: pipes, devices, links that lead nowhere, huge files."""

from __future__ import annotations

import errno
import os
import stat
from typing import Optional, Union

NUL_IN_PATH = "its path contains a NUL character"
_KINDS = {
    stat.S_IFIFO: "a FIFO (named pipe)",
    stat.S_IFSOCK: "a socket",
    stat.S_IFCHR: "a character device",
    stat.S_IFBLK: "a block device",
    stat.S_IFDIR: "a folder",
}


def read_file(path: str, max_bytes: Optional[int]) -> Union[bytes, OSError]:
    """Return the bytes of a regular file, or why it cannot be read.

    Args:
        max_bytes: a larger file is not read.
    """
    if "\0" in path:
        return OSError(errno.EINVAL, NUL_IN_PATH)
    try:
        status = os.stat(path)
        kind = _KINDS.get(stat.S_IFMT(status.st_mode))
        if kind:  # opening a pipe may wait for ever, and a device may have no end
            return OSError(errno.EINVAL, f"{kind}, not a file")
        if max_bytes is not None and status.st_size > max_bytes:
            return too_large(status.st_size, max_bytes)
        with open(path, "rb", buffering=0) as file:
            return file.read()
    except OSError as error:
        broken_link = describe_broken_link(path)
        return OSError(error.errno, broken_link) if broken_link else error


def too_large(size_bytes: int, max_bytes: int) -> OSError:
    """Return the error of a file that is not read because of its size."""
    return OSError(errno.EFBIG, f"too large: {size_bytes:,} bytes, at most {max_bytes:,} are read")


def describe_broken_link(path: str) -> str:
    """Return what a link is that leads nowhere; the empty string if the path is no such link.

    Raises:
        PermissionError: it leads into a folder that may not be read.
    """
    if not os.path.islink(path):
        return ""
    try:
        os.stat(path)
    except PermissionError:
        raise
    except OSError as error:
        if error.errno == errno.ELOOP:
            return "a link loop"
        return f"a dangling link: {os.readlink(path)} does not exist"
    return ""
