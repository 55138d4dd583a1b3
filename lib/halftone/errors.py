"""Errors that a job reports to the user without a traceback."""

from __future__ import annotations

import errno
import shlex
import sys

_LASTING_ERRNOS = {
    errno.ENOENT, errno.EACCES, errno.EPERM, errno.ENOTDIR, errno.EISDIR, errno.ELOOP,
    errno.ENAMETOOLONG, errno.EROFS, errno.EEXIST, errno.ENOTEMPTY, errno.EINVAL,
}  # fmt: skip
# Clients of stores raise them without a number.
_LASTING_TYPES = (FileNotFoundError, PermissionError, NotADirectoryError, IsADirectoryError)


class InputError(ValueError):
    """The config or the input is wrong; the message states what, where, and how to fix it."""


class MissingPackageError(InputError):
    """A package that an extra of the wheel installs is not there."""

    def __init__(self, what: str, package: str, extra: str) -> None:
        """Name what needs the package, the package, and the extra."""
        super().__init__(
            f"{what} needs {package}, which {sys.executable} does not have; run: "
            f"{shlex.quote(sys.executable)} -m pip install 'halftone[{extra}]'"
        )


class RunError(RuntimeError):
    """The job failed while running; the message states how far it got and what to do."""


class StoppedError(RunError):
    """The job was stopped by SIGTERM and shut down cleanly; the same command resumes it."""


def is_lasting(error: BaseException) -> bool:
    """Return whether the same command fails in the same way until the user has changed something.

    Such an error is reported as one of the input, and without advice to run the command again.
    """
    if isinstance(error, OSError):
        return isinstance(error, _LASTING_TYPES) or error.errno in _LASTING_ERRNOS
    return isinstance(error, InputError)


def describe_os_error(error: OSError) -> str:
    """Return the message, with the advice to run the command again if that can help."""
    text = str(error) or type(error).__name__
    if is_lasting(error):
        return text
    if error.errno in (errno.ENOSPC, errno.EDQUOT):
        return f"{text}; free some space, then run the same command again to go on"
    return f"{text}; run the same command again to go on"
