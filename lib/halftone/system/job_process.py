"""The process of a job: Ctrl-C and SIGTERM end it at any moment, and leave nothing running.

A script in jobs/ calls `start` before it imports what takes seconds. A signal then raises
KeyboardInterrupt in the main thread, so that the job releases its locks and removes its temporary
files. That alone is not enough, so the signal is remembered as well:

- What the job raises after a signal, such as the error of a connection that the exception has cut,
  is a consequence of it and is not reported.
- Python drops an exception that is raised in a finalizer or in a callback of the garbage
  collector, and a job may take long to clean up. Then the process is ended without cleaning up,
  which every job survives: the same command resumes it.
- Spark's JVM ignores Ctrl-C, and stays if it is just starting. The child processes are ended.
"""

from __future__ import annotations

import atexit
import logging
import os
import signal
import socketserver
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from types import FrameType, TracebackType
from typing import Any, Callable, NoReturn, Optional

from halftone import logs
from halftone.errors import StoppedError
from halftone.system import parent_watch

# Prints the end of an interrupted job: gets its exit code and the text.
Report = Callable[[int, str], None]

_CLEAN_UP_SECS = 10.0  # an object store that cannot be reached would take minutes
_CHILD_EXIT_SECS = 4.0  # the JVM stops Spark and removes its temporary files
_POLL_SECS = 0.02
_WORDS = {signal.SIGINT: "interrupted", signal.SIGTERM: "stopped"}


def print_report(code: int, text: str) -> None:
    """Print how the job ended to stderr."""
    logs.report_end(text, logging.WARNING)


class _Job:
    """The state of this process. There is one instance."""

    def __init__(self) -> None:
        self.is_started = False
        self.report: Report = print_report
        self.signal: Optional[int] = None  # the first one that was received
        self.exit_code: Optional[int] = None  # set by `leave`
        self.is_reported = False
        self.end_calls: list[Callable[[int], None]] = []  # of `call_at_end`
        self.num_unlimited = 0  # bodies of `unlimited_clean_up` that are running

    def code(self) -> int:
        return 128 + int(self.signal or 0)


_job = _Job()


def start(report: Report = print_report) -> None:
    """Handle SIGINT and SIGTERM from now on. Call it once, first.

    Another thread than the main one cannot handle signals, and leaves them to the main one.

    Args:
        report: prints how the job ended if a signal ends it; by default a line on stderr.
    """
    _job.is_started, _job.report = True, report
    logs.start(sys.argv)
    # Functions registered first run last: no other one is skipped.
    atexit.register(_end_without_finalizing)
    sys.excepthook = _handle_uncaught_error
    if threading.current_thread() is threading.main_thread():
        for number in _WORDS:
            if signal.getsignal(number) != signal.SIG_IGN:  # nohup and shells may ignore SIGINT
                signal.signal(number, _handle_signal)
    parent_watch.follow_spark_submit()


def set_report(report: Report) -> None:
    """Change how the end of an interrupted job is printed."""
    _job.report = report


def received_signal() -> Optional[int]:
    """Return the signal that is ending this job, if any."""
    return _job.signal


def raise_if_interrupted(error: BaseException) -> None:
    """Raise KeyboardInterrupt again if a signal is ending this job.

    Call it before handling an exception as a failure of the job.
    """
    if _job.signal is not None:
        raise KeyboardInterrupt(_text_of(error)) from None


def record_signal(number: int) -> None:
    """Let this job end as after a signal which another handler has received."""
    if _job.is_started and _job.signal is None:
        _job.signal = number
        silence_libraries()
        if not _job.num_unlimited:
            _start_deadline()


def silence_libraries() -> None:
    """Print no errors of other threads: from now on they are consequences of a signal."""
    if _job.is_started:
        threading.excepthook = lambda _: None
        socketserver.BaseServer.handle_error = lambda *_: None  # type: ignore[method-assign]
        sys.unraisablehook = _handle_unraisable
        logging.disable()


@contextmanager
def unlimited_clean_up() -> Iterator[None]:
    """While the body runs, let an interrupted job take as long as it needs to end.

    A second Ctrl-C ends it at once.
    """
    _job.num_unlimited += 1
    try:
        yield
    finally:
        _job.num_unlimited -= 1
        if _job.signal is not None:
            _start_deadline()


def finish_interrupted(error: Optional[BaseException] = None) -> int:
    """Report the interruption, end the child processes, and return the exit code.

    Args:
        error: what the signal made the job raise; may say where the job resumes.
    """
    _report_once("" if error is None else _text_of(error))
    end_children()
    return _job.code()


def end_children() -> None:
    """End the processes that this one and its children have started."""
    import psutil  # here: `start` must be called early

    this_process = psutil.Process()
    relay = logs.relay_pid()  # it still has to pass on what the others write, and ends by itself
    running = [child for child in this_process.children(recursive=True) if child.pid != relay]
    for child in this_process.children():  # which end their own
        if child.pid == relay:
            continue
        with suppress(psutil.Error):
            child.terminate()
    deadline = time.monotonic() + _CHILD_EXIT_SECS
    while (running := list(filter(_is_running, running))) and time.monotonic() < deadline:
        time.sleep(_POLL_SECS)
    for process in running:
        with suppress(psutil.Error):
            process.kill()


def _is_running(process: Any) -> bool:
    """Return whether a process runs; one that has ended is left for its parent to wait for."""
    import psutil

    try:
        return bool(process.status() != psutil.STATUS_ZOMBIE)
    except psutil.Error:
        return False


def call_at_end(function: Callable[[int], None]) -> None:
    """Call a function with the exit code when this job leaves."""
    _job.end_calls.append(function)


def leave(code: int) -> NoReturn:
    """End this process with an exit code, as `conclude` says."""
    sys.exit(conclude(code))


def conclude(code: int) -> int:
    """Let this process end with an exit code, after the functions of `atexit`; return the code.

    Python's finalization is skipped. A thread of a library, such as Arrow's, that returns to
    Python during it aborts the process: exit code 134 in some of a hundred runs.
    """
    if threading.current_thread() is threading.main_thread():
        for number in _WORDS:
            signal.signal(number, signal.SIG_IGN)  # the job has ended, and its outcome stands
    _job.exit_code = code
    for function in _job.end_calls:
        function(code)
    return code


def _end_without_finalizing() -> None:
    if _job.exit_code is not None:
        _flush()
        os._exit(_job.exit_code)


def _flush() -> None:
    for stream in (sys.stdout, sys.stderr):
        with suppress(OSError, ValueError):  # closed, or its reader has ended
            stream.flush()


def _handle_signal(number: int, frame: Optional[FrameType]) -> None:
    if _job.signal is not None:
        if number == _job.signal == signal.SIGINT:
            _end_now()
        return  # spark-submit has ended, by the same signal
    record_signal(number)
    raise KeyboardInterrupt


def _handle_unraisable(unraisable: Any) -> None:
    if issubclass(unraisable.exc_type, KeyboardInterrupt):
        _end_now()  # the exception is lost, and the job would go on


def _handle_uncaught_error(
    kind: type[BaseException], error: BaseException, trace: Optional[TracebackType]
) -> None:
    if _job.signal is not None:
        _job.exit_code = finish_interrupted()
    else:
        logs.report_bug(error)


def _start_deadline() -> None:
    def end_late() -> None:
        time.sleep(_CLEAN_UP_SECS)
        _end_now()

    threading.Thread(target=end_late, daemon=True).start()


def _end_now() -> NoReturn:
    try:
        finish_interrupted()
        _flush()
    finally:
        os._exit(_job.code())


def _text_of(error: BaseException) -> str:
    return str(error) if isinstance(error, (KeyboardInterrupt, StoppedError)) else ""


def _report_once(text: str) -> None:
    if not _job.is_reported:
        _job.is_reported = True
        word = _WORDS[signal.Signals(int(_job.signal or 0))]
        with suppress(OSError, ValueError):  # closed, or its reader has ended
            hint = f": {text}" if text else "; run the same command again to go on"
            _job.report(_job.code(), f"{word}{hint}")
