"""The outcome of a call that a signal ended. It imports nothing that takes time."""

from __future__ import annotations

import json

from halftone.system import job_process

INTERRUPTED = "interrupted"  # the outcome


def print_outcome(code: int, text: str) -> None:
    """Print how the call ended: to stderr, and as JSON on the last line of stdout."""
    job_process.print_report(code, text)
    outcome = {"outcome": INTERRUPTED, "reason": text, "exit_code": code}
    print(json.dumps(outcome), flush=True)
