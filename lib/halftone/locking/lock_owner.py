"""Identify the process that owns a lock, and detect whether it has ended."""

from __future__ import annotations

import os
import socket
from pathlib import Path
from typing import NamedTuple, Optional

_ENDED_STATES = ("Z", "X")  # zombie and dead, in /proc/PID/stat


class LockOwner(NamedTuple):
    host: str
    pid: int
    # Tells apart processes that reuse a pid. It is counted from the start of the machine, because
    # times of day change when the clock is set. 0 if not known.
    start_ticks: int
    machine: str  # boot id of the machine and its pid namespace; "" if not known

    def __str__(self) -> str:
        return f"process {self.pid} on {self.host}"

    def is_on_this_machine(self) -> bool:
        """Return whether it is of this machine, boot and pid namespace; False if not known."""
        return bool(self.machine) and self.machine == _machine_id()

    def is_gone(self) -> bool:
        """Return whether the process has certainly ended.

        Only processes for which `is_on_this_machine` is true can be checked; for others, such as
        those of another container, this is False.
        """
        if not self.is_on_this_machine():
            return False
        try:
            os.kill(self.pid, 0)
        except ProcessLookupError:
            return True
        except OSError:  # it exists and belongs to another user
            pass
        status = _read_status(self.pid)
        if status is None:  # /proc may hide the processes of other users
            return False
        state, start_ticks = status
        return state in _ENDED_STATES or start_ticks != self.start_ticks


def this_process() -> LockOwner:
    status = _read_status(os.getpid())
    if status is None:  # not Linux
        return LockOwner(socket.gethostname(), os.getpid(), 0, "")
    return LockOwner(socket.gethostname(), os.getpid(), status[1], _machine_id())


def _read_status(pid: int) -> Optional[tuple[str, int]]:
    """Return state and start, in clock ticks since boot, of a process; None if not readable."""
    try:
        text = Path(f"/proc/{pid}/stat").read_text(encoding="utf-8", errors="replace")
    except OSError:
        return None
    # The second field is the program's name in parentheses, and may contain both.
    fields = text.rpartition(")")[2].split()
    return fields[0], int(fields[19])


def _machine_id() -> str:
    try:
        boot = Path("/proc/sys/kernel/random/boot_id").read_text().strip()
        return f"{boot}/{os.stat('/proc/self/ns/pid').st_ino}"
    except OSError:
        return ""
