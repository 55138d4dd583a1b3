"""What keeps a process from outliving the one that it works for."""

from __future__ import annotations

import ctypes
import os
import signal
import sys
import threading


def signal_on_parent_exit(signal_number: signal.Signals) -> None:
    """Have Linux send this process a signal when its parent dies; elsewhere nothing happens."""
    if sys.platform == "linux":
        pr_set_pdeathsig = 1
        ctypes.CDLL(None).prctl(pr_set_pdeathsig, int(signal_number))


def exit_on_stdin_end() -> None:
    """End this process, at once, when its standard input ends.

    Whoever holds the other end may be on another machine, and need not live to end it.
    """

    def wait() -> None:
        while sys.stdin.readline():
            pass
        os._exit(1)

    threading.Thread(target=wait, daemon=True).start()
