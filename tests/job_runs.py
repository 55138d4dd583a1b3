"""The jobs as a user runs them: from the shell, with plain python and with spark-submit."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
import yaml

from halftone.spark import class_archive

ROOT = Path(__file__).parents[1]


PYTHON = [sys.executable]


SUBMIT = [str(Path(sys.executable).parent / "spark-submit"), "--master", "local[2]"]


# What libraries print on their own; a job prints its own lines only.
RAW_LINE = re.compile(
    r".*(?:WARN|ERROR|INFO|libpng|libtiff|TIFFRead|Corrupt JPEG|Setting .*log level|Warning:"
    r"|tensorflow/|cuda).*"
)


def run(job: str, *arguments: object, by: list[str] = PYTHON, code: int = 0) -> list[str]:
    """Run a job to its end; return the lines of its standard output, or of its errors."""
    command = [*by, str(ROOT / "jobs" / f"{job}.py"), *map(str, arguments)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=300, env=environment())
    assert done.returncode == code, done.stdout + done.stderr
    raw_lines = RAW_LINE.findall(done.stdout + done.stderr)
    assert not raw_lines, raw_lines
    return (done.stderr if code else done.stdout).splitlines()


def environment() -> dict[str, str]:
    # spark-submit takes the first python3 on the path for its driver.
    folder = str(Path(sys.executable).parent)
    return {
        **os.environ,
        "PATH": f"{folder}:{os.environ['PATH']}",
        "PYSPARK_PYTHON": sys.executable,
        "SPARK_SUBMIT_OPTS": class_archive.jvm_options(),  # as in spark-env.sh
    }


def write_stripes_config(path: Path, root: str) -> None:
    """Write a config for the images of `draw_stripes` in `root`: small jobs, with 2 ranks."""
    settings: dict[str, Any] = {
        "name": "stripes",
        "seed": 7,
        "paths": {
            "images": f"{root}/images",
            **{name: f"{root}/out/{name}" for name in ("dataset", "model", "scores")},
        },
        "pixels": {"height_px": 16, "width_px": 16},
        "splits": {"validation_fraction": 0.2, "test_fraction": 0.2},
        "tracking": {"enabled": False},
        "train": {
            "ranks": 2,
            "epochs": 30,
            "batch_size": 16,
            "learning_rate": 0.01,
            "model": {"name": "convnet", "filters": [4], "dense": [8]},
        },
    }
    path.write_text(yaml.safe_dump(settings))


def results(tmp_path: Path) -> dict[str, Any]:
    """What must be the same for every run of the same config: no times, no dates."""
    out = tmp_path / "out"
    made = json.loads((out / "dataset" / "manifest.json").read_text())
    scores = json.loads((out / "scores" / "metrics.json").read_text())
    rows = [
        row
        for path in scores["predictions"]
        for row in pq.read_table(out / "scores" / path).to_pylist()
    ]
    return {
        "fingerprint": made["fingerprint"],
        "files": made["files"],
        "model": json.loads((out / "model" / "model.json").read_text())["version"],
        "rows": rows,
        **{name: scores[name] for name in ("accuracy", "precision", "recall", "f1", "loss")},
    }


def litter(out: Path) -> list[str]:
    names = [str(path.relative_to(out)) for path in out.rglob("*")]
    return [name for name in names if "_staging" in name or ".tmp-" in name]
