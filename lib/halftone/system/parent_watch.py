"""End a process when its parent ends."""

from __future__ import annotations

import ctypes
import os
import signal
import sys
import threading
from queue import SimpleQueue


def signal_on_parent_exit(signal_number: signal.Signals) -> None:
    """Make Linux send this process a signal when its parent dies; no effect on other systems."""
    if sys.platform == "linux":
        pr_set_pdeathsig = 1
        ctypes.CDLL(None).prctl(pr_set_pdeathsig, int(signal_number))


def is_spark_submitted() -> bool:
    """Return whether spark-submit started this process."""
    return "PYSPARK_GATEWAY_PORT" in os.environ


def follow_spark_submit() -> None:
    """Get SIGTERM when spark-submit ends, if it started this process.

    Its JVM does not forward signals to the Python process that it starts.
    """
    if is_spark_submitted():
        signal_on_parent_exit(signal.SIGTERM)


def exit_on_stdin_end() -> SimpleQueue[str]:
    """Exit immediately with code 1 when the standard input ends.

    This also works if the parent is on another machine, or was killed.

    Returns:
        A queue that gets each line that the parent still writes.
    """
    lines: SimpleQueue[str] = SimpleQueue()

    def wait() -> None:
        while line := sys.stdin.readline():
            lines.put(line)
        os._exit(1)

    threading.Thread(target=wait, daemon=True).start()
    return lines
