"""Two weeks of retraining runs, one after the other, in one process.

    python tests/fortnight.py FOLDER

Prints a line of JSON for each call: what the call was, its exit code, and its last line.
"""

from __future__ import annotations

import contextlib
import io
import json
import subprocess
import sys
import threading
import time
from pathlib import Path
from typing import Any

from halftone.config import SparkSettings
from halftone.retrain import command
from halftone.retrain.command import RetrainArguments
from halftone.spark.session import spark_session
from retrained import JOB, draw, last_line, write_config


def main(folder: Path) -> None:
    images = folder / "images"
    config = write_config(folder, prune=True, gate={"floor": 0.1}, keep={"nights": 3, "days": 0})

    def call(name: str, **arguments: Any) -> None:
        stdout = io.StringIO()
        started = time.monotonic()
        with contextlib.redirect_stdout(stdout):
            code = command.main(RetrainArguments(str(config), **arguments))
        secs = round(time.monotonic() - started, 1)
        print_call(name, code, stdout.getvalue(), secs)

    with spark_session("fortnight", SparkSettings(master="local[1, 4]")):
        draw(images, "first", 12, 1000)
        call("first")
        call("nothing")
        draw(images, "many", 200, 2000)
        call("many")
        draw(images, "few", 10, 3000)
        call("few")
        for number in range(12):
            (images / "lying" / f"broken-{number}.png").write_bytes(b"\x89PNG no more than that")
        call("broken")
        call("nothing after broken")
        swapped = draw(images, "swapped", 320, 5000, swapped=True)
        call("swapped")
        for path in swapped:
            path.unlink()
        call("swapped no more")
        draw(images, "bright", 100, 6000, level=215)
        call("bright")
        call("bright again")
        call("bright accepted", accept_drift=True)
        draw(images, "late", 15, 7000)
        draw(images, "late-bright", 7, 8000, level=215)
        second = threading.Thread(target=call_concurrently, args=[folder, config])
        second.start()
        call("two at once")
        second.join()
        call("rollback", rollback=True)
        call("nothing after rollback")


def print_call(name: str, code: int, stdout: str, secs: float) -> None:
    line = {"what": name, "code": code, "last": last_line(stdout), "secs": secs}
    print(json.dumps(line), file=sys.__stdout__, flush=True)


def call_concurrently(folder: Path, config: Path) -> None:
    """Start a second call when the first is about to train."""
    wait_for(folder, "*-start.json", count(folder, "*-start.json") + 1)
    job_command = [sys.executable, JOB, "--config", str(config)]
    completed = subprocess.run(job_command, capture_output=True, text=True, check=False)
    print_call("second of two", completed.returncode, completed.stdout, 0.0)


def wait_for(folder: Path, pattern: str, files: int) -> None:
    deadline = time.monotonic() + 300
    while count(folder, pattern) < files:
        assert time.monotonic() < deadline, pattern
        time.sleep(0.02)


def count(folder: Path, pattern: str) -> int:
    return len(list((folder / "retrain" / "nights").glob(f"*/{pattern}")))


if __name__ == "__main__":
    main(Path(sys.argv[1]))
