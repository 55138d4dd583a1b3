"""Run a test script that retrains in its own process."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

HERE = Path(__file__).parent


def run(script: str, folder: Path) -> list[dict[str, Any]]:
    """Run a script of this folder; return the lines of JSON that it prints."""
    completed = subprocess.run(
        [sys.executable, str(HERE / script), str(folder)],
        cwd=folder,
        capture_output=True,
        text=True,
        timeout=1400,
        check=False,
    )
    assert completed.returncode == 0, completed.stdout + completed.stderr
    return [json.loads(line) for line in completed.stdout.splitlines() if line.startswith("{")]
