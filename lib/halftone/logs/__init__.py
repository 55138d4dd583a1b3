"""Logging of the jobs: one handler on stderr, as text for people or as JSON for machines.

Modules of Halftone log to `logging.getLogger(__name__)`. A job calls `start` before anything else,
`add_arguments` and `configure` for its flags, and `set_run` once it has read its config. A process
that a job starts calls `start_child`. A notebook, and a program that uses Halftone as a library,
may call `start`, or add handlers of their own to the logger `halftone`.
"""

from halftone.logs.handler import clear_in_place, is_shown_in_place, show_in_place
from halftone.logs.options import add_arguments
from halftone.logs.set_up import (
    configure,
    environment,
    job_name,
    keep_handlers,
    relay_pid,
    relog,
    report_bug,
    report_end,
    set_rank,
    set_run,
    start,
    start_child,
    start_worker,
)

__all__ = [
    "add_arguments",
    "clear_in_place",
    "configure",
    "environment",
    "is_shown_in_place",
    "job_name",
    "keep_handlers",
    "relay_pid",
    "relog",
    "report_bug",
    "report_end",
    "set_rank",
    "set_run",
    "show_in_place",
    "start",
    "start_child",
    "start_worker",
]
