"""Without a GPU: the dry run, and what is refused."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

import gpu
import gpu_cards

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
    resumes = "a training that is killed resumes, with the same metrics"
    assert lines[0].startswith("default, mixed_bfloat16, 2 ranks: ")
    # The first checkpoint is there when it is killed, and maybe one more.
    lines[4] = re.sub(r"after epoch [1-5];", "after epoch N;", lines[4])
    assert lines[1:5] == [
        f"every rank took its own card: {no_gpu} 2 ranks of 1 trainings, 0 cards",
        f"the driver took no card: {no_gpu} of 2 ranks, some were seen with a card in 0 of 1 trainings",
        f"default: metrics equal the CPU's to 0.001: {no_gpu} {equal}",
        f"{resumes}: {no_gpu} resumed after epoch N; {equal}",
    ]
    assert lines[-1] == (
        "verdict: no GPU: none of 4 checks failed on the CPU, and nothing is known about GPUs"
    )
    assert list(tmp_path.iterdir()) == []
