"""The packed environment of dist/, which tests in several processes may need at the same time."""

from __future__ import annotations

import fcntl
import subprocess
import sys
from pathlib import Path

from job_runs import ROOT


def pack() -> Path:
    """Make dist/halftone.zip, and dist/environment.tar.gz unless it is up to date."""
    dist = ROOT / "dist"
    dist.mkdir(exist_ok=True)
    with open(ROOT / "conf/deploy/pack.py") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        subprocess.run([sys.executable, ROOT / "conf/deploy/pack.py", dist], check=True)
    return dist


def unpack(folder: Path) -> None:
    """Unpack the environment into a new folder."""
    folder.mkdir()
    command = ["tar", "-xzf", ROOT / "dist" / "environment.tar.gz", "-C", folder]
    subprocess.run(command, check=True)
