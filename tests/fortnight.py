"""Two weeks of nights, one after the other, in one process.

    python tests/fortnight.py FOLDER

Prints a line of JSON for each call: what the call was, its exit code, and its last line.
"""

from __future__ import annotations

import contextlib
import io
import json
import os
import signal
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

    def call(what: str, **asked: Any) -> None:
        said = io.StringIO()
        started = time.monotonic()
        with contextlib.redirect_stdout(said):
            code = command.main(RetrainArguments(str(config), **asked))
        secs = round(time.monotonic() - started, 1)
        tell(what, code, said.getvalue(), secs)

    with spark_session("fortnight", SparkSettings(master="local[2, 4]")):
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
        draw(images, "together", 15, 4000)
        second = threading.Thread(target=at_the_same_time, args=[folder, config])
        second.start()
        call("two at once")
        second.join()
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
        killed_in_training(folder, config)
        call("after the kill")
        call("rollback", rollback=True)
        call("nothing after rollback")


def tell(what: str, code: int, said: str, secs: float) -> None:
    line = {"what": what, "code": code, "last": last_line(said), "secs": secs}
    print(json.dumps(line), file=sys.__stdout__, flush=True)


def at_the_same_time(folder: Path, config: Path) -> None:
    """Call a second time when the first is about to train."""
    wait_for(folder, "*-start.json", count(folder, "*-start.json") + 1)
    command = [sys.executable, JOB, "--config", str(config)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    tell("second of two", done.returncode, done.stdout, 0.0)


def killed_in_training(folder: Path, config: Path) -> None:
    before = count(folder, "model/checkpoints/*.npz")
    nights = count(folder, "*-begin.json")
    process = subprocess.Popen(
        [sys.executable, JOB, "--config", str(config)],
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        start_new_session=True,
    )
    wait_for(folder, "*-begin.json", nights + 1)
    wait_for(folder, "model/checkpoints/*.npz", before + 1)
    os.killpg(process.pid, signal.SIGKILL)
    line = {"what": "killed", "code": process.wait()}
    print(json.dumps(line), file=sys.__stdout__, flush=True)


def wait_for(folder: Path, pattern: str, files: int) -> None:
    deadline = time.monotonic() + 300
    while count(folder, pattern) < files:
        assert time.monotonic() < deadline, pattern
        time.sleep(0.02)


def count(folder: Path, pattern: str) -> int:
    return len(list((folder / "retrain" / "nights").glob(f"*/{pattern}")))


if __name__ == "__main__":
    main(Path(sys.argv[1]))
