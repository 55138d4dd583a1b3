"""Exit codes of the jobs, and the line that each error gives.

0 success, 1 failure (may be tried again), 2 wrong config or input, 75 busy (another job writes to
the same output), 130 interrupted, 143 stopped by SIGTERM.
"""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Callable

from halftone import logs
from halftone.errors import InputError, RunError, StoppedError, describe_os_error, is_lasting
from halftone.system import job_process

if TYPE_CHECKING:
    from halftone.locking.lock import LockLostError

BUSY = 75  # EX_TEMPFAIL of sysexits.h


def run_with_exit_code(function: Callable[[], None]) -> int:
    """Call `function`, print its error to stderr if it fails, and return the job's exit code."""
    from halftone.locking import output  # here: --help needs no packages

    try:
        with output.handle_loss(_end_process):
            function()
    except BaseException as error:
        if job_process.received_signal() is not None:
            return job_process.finish_interrupted(error)
        message, code = _describe_error(error)
        logs.report_end(message)
        return code
    return 0


def _describe_error(error: BaseException) -> tuple[str, int]:
    """Return the line for an error and the exit code; raise an error that is a bug."""
    from halftone.locking.lock import LockHeldError

    if isinstance(error, InputError):
        return f"error: {error}", 2
    if isinstance(error, StoppedError):
        return f"stopped: {error}", 143
    if isinstance(error, LockHeldError):
        return f"busy: {error}", BUSY
    if isinstance(error, RunError):
        return f"failed: {error}", 1
    if is_lasting(error):  # of the operating system, such as a folder without permission
        return f"error: {error}", 2
    if isinstance(error, OSError):  # such as a full disk
        return f"failed: {describe_os_error(error)}", 1
    if isinstance(error, KeyboardInterrupt):
        hint = f": {error}" if str(error) else "; run the same command again to go on"
        return f"interrupted{hint}", 130
    raise error


def _end_process(error: LockLostError) -> None:
    """End at once, in any thread: this job would interfere with the one that has taken over."""
    logs.report_end(f"failed: {error}")
    os._exit(1)
