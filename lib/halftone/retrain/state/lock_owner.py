"""Which process something belongs to, and whether it is known to be gone."""

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
    started: float  # seconds since 1970, by which a number that is used again is told
    machine: str  # the start of a machine and its container that numbers count in; "" if not known

    def __str__(self) -> str:
        return f"process {self.pid} on {self.host}"

    def is_gone(self) -> bool:
        """Whether it surely is: only processes of this machine, since its start, can be seen."""
        if not self.machine or self.machine != _machine_id():
            return False
        with suppress(psutil.Error):
            there = psutil.Process(self.pid)
            is_other = abs(there.create_time() - self.started) > 1
            return is_other or there.status() == psutil.STATUS_ZOMBIE
        return True


def this_process() -> LockOwner:
    own = psutil.Process()
    return LockOwner(socket.gethostname(), own.pid, own.create_time(), _machine_id())


def _machine_id() -> str:
    try:
        boot = Path("/proc/sys/kernel/random/boot_id").read_text().strip()
        return f"{boot}/{os.stat('/proc/self/ns/pid').st_ino}"
    except OSError:  # not Linux
        return ""
