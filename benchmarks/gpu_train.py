"""jobs/train.py for gpu.py: its ranks are processes of gpu_rank.py."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from halftone.commands.script import run_script
from halftone.launch import rank

if __name__ == "__main__":
    patched: Any = rank
    patched.PYTHON_ARGUMENTS = ("-X", "faulthandler", str(Path(__file__).with_name("gpu_rank.py")))
    run_script("train", __doc__)
