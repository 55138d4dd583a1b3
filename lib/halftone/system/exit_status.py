"""Describe the exit status of a process."""

from __future__ import annotations

import signal
from pathlib import Path
from typing import Optional


def describe_exit(exit_code: int, oom_kills_before: Optional[int] = None) -> str:
    """Describe an exit code of subprocess or of a shell; empty for 0.

    Args:
        oom_kills_before: the result of `count_oom_kills` on this machine before the process
            started; needed to detect that the process was killed for lack of memory.
    """
    if exit_code == 0:
        return ""
    signal_number = -exit_code if exit_code < 0 else exit_code - 128
    if signal_number <= 0:
        return f"ended with exit code {exit_code}"
    is_oom_kill = (
        signal_number == signal.SIGKILL
        and oom_kills_before is not None
        and count_oom_kills() > oom_kills_before
    )
    return f"was killed by signal {signal_number}" + ", out of memory" * is_oom_kill


def count_oom_kills() -> int:
    """Return how many processes Linux has killed for lack of memory since boot; 0 if unknown."""
    try:
        lines = Path("/proc/vmstat").read_text().splitlines()
    except OSError:
        return 0
    return sum(int(line.split()[1]) for line in lines if line.startswith("oom_kill "))
