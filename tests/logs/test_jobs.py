"""Real jobs with --log-format json: every line of stderr, and of a rank's log, is an object."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest
import yaml

from conftest import DrawImages
from job_runs import ROOT, environment

pytestmark = pytest.mark.slow


def start(job: str, settings: dict[str, Any], folder: Path) -> subprocess.Popen[str]:
    config = folder / f"{job}.yaml"
    config.write_text(yaml.safe_dump({"name": "trial", **settings}))
    return subprocess.Popen(
        [sys.executable, str(ROOT / "jobs" / f"{job}.py"), "--config", str(config)],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env={**environment(), "HALFTONE_LOG_FORMAT": "json"},
        cwd=folder,
        start_new_session=True,
    )


def finish(process: subprocess.Popen[str], code: int) -> tuple[list[dict[str, Any]], str]:
    """Wait for a job; return the objects of stderr, and stdout."""
    stdout, stderr = process.communicate(timeout=300)
    lines = [json.loads(line) for line in stderr.splitlines()]
    assert process.returncode == code, stderr
    assert {line["job"] for line in lines} == {Path(process.args[1]).stem}  # type: ignore[index]
    # Nothing that Halftone has not logged itself: no JVM, C++ code, or library had anything to say.
    assert [line for line in lines if not line["logger"].startswith("halftone.")] == []
    return lines, stdout


def test_preprocess_and_train_with_two_ranks(draw_images: DrawImages, tmp_path: Path) -> None:
    images, dataset, model = draw_images(each=30), tmp_path / "dataset", tmp_path / "model"
    (images / "upright" / "broken.png").write_bytes(b"\x89PNG no more")
    settings: dict[str, Any] = {
        "paths": {"images": str(images), "dataset": str(dataset), "model": str(model)},
        "pixels": {"height_px": 16, "width_px": 16, "channels": 1},
        "spark": {"master": "local[2]"},
    }
    lines, stdout = finish(start("preprocess", settings, tmp_path), 0)
    decoded = [line for line in lines if line.get("progress", {}).get("stage") == "decode"][-1]
    assert decoded["message"].startswith("decode: 61 of 61 images, ")
    assert {**decoded["progress"], "secs": 0} == {
        **{"stage": "decode", "done": 61, "total": 61, "unit": "images", "secs": 0}
    }
    assert decoded["run"] == "trial"
    assert stdout.splitlines()[-1] == f"dataset: {dataset}"

    settings["train"] = {
        "epochs": 1,
        "ranks": 2,
        "batch_size": 8,
        "model": {"name": "convnet", "filters": [4], "dense": [], "batch_norm": True},
    }
    lines, stdout = finish(start("train", settings, tmp_path), 0)
    notes = [line["message"] for line in lines if line["message"].startswith("note: ")]
    assert [note.split("batch norm")[0] for note in notes] == ["note: after all 6 steps "]
    assert "epoch 1/1: loss " in stdout
    for rank in (0, 1):
        text = (model / "logs" / f"rank-{rank}.log").read_text()
        logged = [json.loads(line) for line in text.splitlines()]
        assert {line["rank"] for line in logged} == {rank}
        assert logged[0]["message"].startswith("attempt 1, pid ")
        assert any("epoch 1/1: loss " in line["message"] for line in logged) == (rank == 0)

    settings["train"]["batch_size"] = 7  # two ranks cannot share it
    lines, stdout = finish(start("train", settings, tmp_path), 2)
    assert lines[-1]["level"] == "error"
    assert lines[-1]["message"].startswith("error: ")
    assert stdout == ""


def test_ctrl_c(draw_images: DrawImages, tmp_path: Path) -> None:
    settings = {
        "paths": {"images": str(draw_images(each=200)), "dataset": str(tmp_path / "dataset")},
        "spark": {"master": "local[1]"},
    }
    process = start("preprocess", settings, tmp_path)
    while not (tmp_path / "dataset" / "_lock").exists():
        assert process.poll() is None
        time.sleep(0.05)
    os.killpg(process.pid, signal.SIGINT)
    started = time.monotonic()
    lines, _ = finish(process, 130)
    assert time.monotonic() - started < 15
    assert (lines[-1]["level"], lines[-1]["message"]) == (
        "warning",
        "interrupted; run the same command again to go on",
    )
