"""Without a GPU: the dry run, and what is refused."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

import gpu
import gpu_cards
import gpu_rates
import gpu_runs
import page
from gpu_cards import Observation
from gpu_checks import RankRecord
from gpu_runs import Job, Training, TrainingError

SCRIPT = Path(gpu.__file__)
NO_GPU = {"CUDA_VISIBLE_DEVICES": "-1"}


def test_no_gpu_is_no_result(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(gpu_cards, "find_cards", lambda environment: [])
    assert gpu.main(["--work", str(tmp_path)]) == 2
    out, err = capsys.readouterr()
    assert out == ""
    assert err.startswith("error: TensorFlow finds no GPU on this machine, so nothing was measured")
    assert err.endswith("--dry-run runs everything on the CPU\n")


@pytest.mark.parametrize(
    ("flags", "message"),
    [
        (["--rows", "100"], "error: --rows 100 is not divisible by 1 x 64, the rows of a step"),
        (["--rows", "192"], "error: --rows 192 is not divisible by 2 x 64, the rows of a step"),
        (["--rounds", "0"], "error: --rows, --rank-batch and --rounds must be 1 or more"),
        (["--only", "vgg"], "error: --only vgg: choose from default, vgg13, resnet50"),
    ],
)
def test_wrong_flags(flags: list[str], message: str) -> None:
    with pytest.raises(SystemExit) as refused:
        gpu.main(flags)
    assert str(refused.value).startswith(message)


def made_up_training(job: Job, folder: Path, timeout_secs: float) -> Training:
    """What one card could give: it takes one rank only, and a feed slows a step to a half."""
    if job.train.get("ranks", 1) > 1:
        raise TrainingError("exit code 1: out of memory")
    rates = {"secs": 2.0, "images_per_sec": 2048.0}
    epochs = [{"epoch": n + 1, "loss": 0.5, **rates} for n in range(job.train["epochs"])]
    if job.rounds:
        feeds = gpu_rates.feed_order(job.rounds)
        for entry, feed in zip(epochs, feeds):
            if feed == "one batch":
                entry.update(secs=1.0, images_per_sec=4096.0)
    cards = [] if job.on_cpu else [0]
    seen = Observation(10, frozenset({11}), {11: frozenset({"/dev/nvidia0"})}, {}, 900.0)
    return Training(epochs, [RankRecord(0, 11, cards, 2**29 * len(cards))], seen)


@pytest.mark.parametrize(
    ("resumed_loss", "code", "last_line"),
    [
        (0.5, 0, "verdict: ok: all 4 checks hold"),
        (
            0.51,
            1,
            "verdict: FAILED: a training that is killed resumes, with the same metrics",
        ),
    ],
)
def test_the_page_and_verdict_of_made_up_trainings(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    resumed_loss: float,
    code: int,
    last_line: str,
) -> None:
    monkeypatch.setattr(gpu_cards, "find_cards", lambda environment: ["Made Up 9000"])
    monkeypatch.setattr(gpu_runs, "write_rows", lambda folder, count, side_px: None)
    monkeypatch.setattr(gpu_runs, "train", made_up_training)
    resumed = [{"epoch": n + 1, "loss": resumed_loss} for n in range(6)]
    monkeypatch.setattr(gpu_runs, "kill_and_resume", lambda *_: (resumed, "after epoch 1"))
    monkeypatch.setattr(page, "_FOLDER", tmp_path / "results")
    flags = ["--only", "default", "--precisions", "float32", "--work", str(tmp_path)]
    assert gpu.main(flags) == code
    assert capsys.readouterr().out.splitlines()[-1] == last_line
    text = (tmp_path / "results" / "gpu.md").read_text()
    row = (
        "| default, float32, 1 rank | 2,048 | 2,048 | 2,048 | 4,096 | 50% | 50% | 50% | 512 | 900 |"
    )
    assert row in text.splitlines()
    assert "- 1 card: Made Up 9000. More ranks than cards share one by time slicing." in text
    refusal = "- default, float32, 2 ranks on 1 card: does not go: exit code 1: out of memory."
    assert refusal in text.splitlines()
    content = json.loads((tmp_path / "results" / "gpu.json").read_text())
    assert [run["training"]["card_peak_mib"] for run in content["runs"]] == [900.0]
    assert content["runs"][0]["training"]["ranks"][0]["cards"] == [0]


@pytest.mark.slow
def test_the_dry_run_does_all_of_it_and_claims_nothing(tmp_path: Path) -> None:
    flags = ["--dry-run", "--only", "default", "--precisions", "mixed_bfloat16", "--ranks", "2"]
    done = subprocess.run(
        [sys.executable, str(SCRIPT), *flags, "--work", str(tmp_path)],
        env={**os.environ, **NO_GPU},
        capture_output=True,
        text=True,
        timeout=500,
    )
    assert (done.returncode, done.stderr) == (0, "")
    lines = done.stdout.splitlines()
    no_gpu = "not checked: no GPU. On the CPU:"
    equal = "largest difference 0.0e+00 in 6 epochs"
    unseen = "of 2 ranks, some were seen with a card in 0 of 1 trainings"
    resumes = "a training that is killed resumes, with the same metrics"
    assert lines[0].startswith("default, mixed_bfloat16, 2 ranks: ")
    # The first checkpoint is there when it is killed, and maybe one more.
    lines[4] = re.sub(r"after epoch [1-5];", "after epoch N;", lines[4])
    assert lines[1:5] == [
        f"every rank took its own card: {no_gpu} 2 ranks of 1 trainings, 0 cards",
        f"the driver took no card: {no_gpu} {unseen}",
        f"default: metrics equal the CPU's to 0.001: {no_gpu} {equal}",
        f"{resumes}: {no_gpu} resumed after epoch N; {equal}",
    ]
    assert lines[-1] == (
        "verdict: no GPU: none of 4 checks failed on the CPU, and nothing is known about GPUs"
    )
    assert list(tmp_path.iterdir()) == []
