"""How a process ended, in words."""

from __future__ import annotations

import signal
from pathlib import Path
from typing import Optional


def describe(code: int, out_of_memory_before: Optional[int] = None) -> str:
    """Describe an exit code as subprocess or a shell gives it; empty for 0.

    Args:
        out_of_memory_before: what `out_of_memory_kills` was when the process was started here.
    """
    if code == 0:
        return ""
    number = -code if code < 0 else code - 128
    if number <= 0:
        return f"ended with exit code {code}"
    ran_out = (
        number == signal.SIGKILL
        and out_of_memory_before is not None
        and out_of_memory_kills() > out_of_memory_before
    )
    return f"was killed by signal {number}" + ", as memory ran out" * ran_out


def out_of_memory_kills() -> int:
    """How many processes Linux has killed since its start because memory ran out."""
    try:
        lines = Path("/proc/vmstat").read_text().splitlines()
    except OSError:
        return 0
    return sum(int(line.split()[1]) for line in lines if line.startswith("oom_kill "))
