"""The process that wraps raw lines on stderr in JSON, such as those of a JVM and of C++ code.

    python -m halftone.logs.relay JOB

It reads what a job and its child processes write to stderr, and writes each line as an object;
lines that are objects of Halftone already stay as they are. It is a process of its own, so that the
last words of a job that crashes arrive too. It ends when all writers have.
"""

from __future__ import annotations

import re
import signal
import sys
import time

from halftone.logs.formats import LogContext, format_object
from halftone.logs.record_lines import parse_record_line

# Log lines of TensorFlow's C++ code, as `2026-11-21 03:10:42.878341: E ...`, and of log4j.
_NATIVE_LEVEL = re.compile(r"^\[?\d{4}-\d\d-\d\d \S+: ([IWEF]) |^[\d/: ]+(INFO|WARN|ERROR|FATAL) ")
_ERROR = re.compile(r"\berror: |^Fatal |^\w+(\.\w+)*(Error|Exception): ")
_LEVELS = {"I": "info", "W": "warning", "E": "error", "F": "error"}


def guess_level(line: str) -> str:
    """Return the level of a raw line; warning if it does not say."""
    match = _NATIVE_LEVEL.match(line)
    if match:
        return _LEVELS[(match[1] or match[2])[0]]
    return "error" if _ERROR.search(line) else "warning"


def main() -> None:
    # Ctrl-C ends the job, which may still have something to say.
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, signal.SIG_IGN)
    context = LogContext(job=sys.argv[1])
    for raw_line in sys.stdin.buffer:
        line = raw_line.decode("utf-8", "replace").rstrip()
        if not line:
            continue
        if parse_record_line(line) is None:
            line = format_object(context, time.time(), guess_level(line), "stderr", line)
        print(line, flush=True)


if __name__ == "__main__":
    main()
