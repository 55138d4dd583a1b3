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
    archive = ROOT / "dist" / "environment.tar.gz"
    # A quarter of the time of gzip.
    command = [sys.executable, "-m", "isal.igzip", "--decompress", "--stdout", archive]
    with subprocess.Popen(command, stdout=subprocess.PIPE) as unzip:
        subprocess.run(["tar", "-x", "-C", folder], stdin=unzip.stdout, check=True)
    assert unzip.returncode == 0
