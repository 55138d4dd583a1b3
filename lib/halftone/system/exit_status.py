"""How a process ended, in words."""

from __future__ import annotations

import signal
from pathlib import Path
from typing import Optional


def describe_exit(exit_code: int, oom_kills_before: Optional[int] = None) -> str:
    """Describe an exit code as subprocess or a shell gives it; empty for 0.

    Args:
        out_of_memory_before: what `out_of_memory_kills` was when the process was started here.
    """
    if exit_code == 0:
        return ""
    number = -exit_code if exit_code < 0 else exit_code - 128
    if number <= 0:
        return f"ended with exit code {exit_code}"
    ran_out = (
        number == signal.SIGKILL
        and oom_kills_before is not None
        and count_oom_kills() > oom_kills_before
    )
    return f"was killed by signal {number}" + ", as memory ran out" * ran_out


def count_oom_kills() -> int:
    """How many processes Linux has killed since its start because memory ran out."""
    try:
        lines = Path("/proc/vmstat").read_text().splitlines()
    except OSError:
        return 0
    return sum(int(line.split()[1]) for line in lines if line.startswith("oom_kill "))
