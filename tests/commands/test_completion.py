"""Completion in a real bash."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest

from halftone.commands.main import main

# What bash does at a TAB: it calls the function of the command, which fills COMPREPLY.
COMPLETE = r"""
source "$1"; shift
COMP_WORDS=(halftone "$@"); COMP_CWORD=$#; COMP_LINE="halftone $*"; COMP_POINT=${#COMP_LINE}
function=$(complete -p halftone | sed 's/.* -F \([^ ]*\).*/\1/')
$function halftone "${COMP_WORDS[COMP_CWORD]}" "${COMP_WORDS[COMP_CWORD-1]}"
printf '%s\n' "${COMPREPLY[@]}"
"""


@pytest.fixture
def script(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> Path:
    assert main(["completion", "bash"]) == 0
    path = tmp_path / "halftone.bash"
    path.write_text(capsys.readouterr().out)
    return path


def test_candidates_of_bash(script: Path, tmp_path: Path) -> None:
    def complete(*words: str) -> set[str]:
        command = ["bash", "--norc", "-c", COMPLETE, "bash", str(script), *words]
        done = subprocess.run(command, capture_output=True, text=True, cwd=tmp_path, check=True)
        assert done.stderr == ""
        return set(done.stdout.split())

    (tmp_path / "faces.yaml").touch()
    assert complete("") == {
        *("preprocess", "train", "score", "experiment", "retrain", "export", "label-errors"),
        *("check", "sample", "schema", "completion"),
    }
    assert complete("tr") == {"train"}
    assert complete("s") == {"score", "sample", "schema"}
    assert complete("--v") == {"--version"}
    assert complete("train", "--d") == {"--dataset"}
    assert {"--config", "--set", "--images", "--baseline"} <= complete("score", "--")
    assert complete("export", "--format", "") == {"tfrecord", "savedmodel", "onnx", "tflite"}
    assert complete("train", "--config", "fa") == {"faces.yaml"}
    assert complete("completion", "") == {"bash", "zsh"}
    assert complete("nothing", "--f") == set()


def test_zsh_gets_a_completion_function(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["completion", "zsh"]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert lines[0] == "#compdef halftone"
    assert any(line.strip().startswith("label-errors:'Find images whose") for line in lines)
