"""Identify the process that owns a lock, and detect whether it has ended."""

from __future__ import annotations

import os
import socket
from contextlib import suppress
from pathlib import Path
from typing import NamedTuple

import psutil


class LockOwner(NamedTuple):
    host: str
    pid: int
    started: float  # seconds since 1970; tells apart processes that reuse a pid
    machine: str  # boot id of the machine and its pid namespace; "" if not known

    def __str__(self) -> str:
        return f"process {self.pid} on {self.host}"

    def is_gone(self) -> bool:
        """Return whether the process has certainly ended.

        Only processes of this machine, boot and pid namespace can be checked; for others this is
        False.
        """
        if not self.machine or self.machine != _machine_id():
            return False
        with suppress(psutil.Error):
            process = psutil.Process(self.pid)
            is_other = abs(process.create_time() - self.started) > 1
            return is_other or process.status() == psutil.STATUS_ZOMBIE
        return True


def this_process() -> LockOwner:
    process = psutil.Process()
    return LockOwner(socket.gethostname(), process.pid, process.create_time(), _machine_id())


def _machine_id() -> str:
    try:
        boot = Path("/proc/sys/kernel/random/boot_id").read_text().strip()
        return f"{boot}/{os.stat('/proc/self/ns/pid').st_ino}"
    except OSError:  # not Linux
        return ""
