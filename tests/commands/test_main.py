"""The command `halftone`: its sub-commands, help, and exit codes."""

from __future__ import annotations

import importlib.util
import json
import re
import shlex
import subprocess
import sys
from pathlib import Path

import pytest

import halftone
from halftone.commands.catalogue import BY_NAME, COMMANDS
from halftone.commands.command import Command
from halftone.commands.main import build_parser, main

ROOT = Path(__file__).parents[2]
JOBS = sorted((ROOT / "jobs").glob("*.py"))


def test_the_sub_commands() -> None:
    assert list(BY_NAME) == [
        *("preprocess", "train", "score", "experiment", "retrain", "export", "label-errors"),
        *("check", "sample", "schema", "completion"),
    ]
    for name in BY_NAME:
        assert importlib.util.find_spec(f"halftone.commands.{name.replace('-', '_')}")


@pytest.mark.parametrize("command", COMMANDS, ids=lambda command: command.name)
def test_help_shows_examples_that_the_parser_takes(
    command: Command, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit) as ended:
        build_parser().parse_args([command.name, "--help"])
    assert ended.value.code == 0
    lines = capsys.readouterr().out.splitlines()
    examples = lines[lines.index("examples:") + 1 :]
    examples = examples[: examples.index("")]
    assert len(examples) == len(command.examples) > 0
    for example in examples:
        halftone_, *arguments = shlex.split(example.partition(">")[0], comments=True)
        assert halftone_ == "halftone"
        assert build_parser().parse_args(arguments).command == command.name


PACKAGES = {"numpy", "psutil", "pyarrow", "pydantic", "pyspark", "shtab", "tensorflow", "yaml"}


@pytest.mark.parametrize("arguments", [["--help"], ["--version"], ["score", "--help"]])
def test_help_imports_no_package(arguments: list[str]) -> None:
    command = [sys.executable, "-X", "importtime", "-m", "halftone", *arguments]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    imported = {line.rpartition("|")[2].strip() for line in done.stderr.splitlines()}
    assert "argparse" in imported
    assert not imported & PACKAGES


def test_version(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as ended:
        main(["--version"])
    assert ended.value.code == 0
    assert capsys.readouterr().out == f"halftone {halftone.__version__}\n"


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ([], "the following arguments are required: COMMAND"),
        (["trian"], "argument COMMAND: invalid choice: 'trian'"),
        (["train"], "the following arguments are required: --config"),
        (["completion", "fish"], "argument shell: invalid choice: 'fish'"),
    ],
)
def test_a_wrong_command_line(
    arguments: list[str], message: str, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit) as ended:
        main(arguments)
    assert ended.value.code == 2
    assert message in capsys.readouterr().err


def test_check_prints_the_settings(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = tmp_path / "run.yaml"
    path.write_text("name: faces\n")
    assert main(["check", "--config", str(path), "--set", "train.epochs=7"]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert [line.split()[:2] for line in lines if line.startswith("name:")] == [["name:", "faces"]]
    assert [line.split()[:2] for line in lines if " epochs:" in line] == [["epochs:", "7"]]
    path.write_text("nam: faces\n")
    assert main(["check", "--config", str(path)]) == 2
    assert capsys.readouterr().err.startswith(f"error: {path}: 1 mistake\n")


def test_schema_is_json(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["schema"]) == 0
    schema = json.loads(capsys.readouterr().out)
    assert {"name", "seed", "paths", "train"} <= set(schema["properties"])


def test_sample_draws(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    output = tmp_path / "images"
    flags = ["--pairs", "1", "--size-px", "64", "--processes", "1"]
    assert main(["sample", "--output", str(output), *flags]) == 0
    assert capsys.readouterr().out.splitlines()[-1] == (
        f"{output}: 1 faces, 1 comics (synthetic: every picture was drawn by code, none shows a "
        "real person), and 4 files that are broken on purpose: preprocessing must reject them"
    )
    assert (output / "faces" / "00000.jpg").is_file()
    assert main(["sample", "--output", str(output), *flags[:-2], "--processes", "0"]) == 2
    assert capsys.readouterr().err == "error: processes is 0; it must be 1 or more\n"


def test_each_file_in_jobs_is_a_sub_command_and_has_the_same_guard() -> None:
    texts = {path.stem: path.read_text(encoding="utf-8") for path in JOBS}
    guards = {
        re.sub(r'run_script\("[a-z-]+", __doc__\)', "run_script(NAME)", text.split('"""\n', 2)[1])
        for text in texts.values()
    }
    assert len(guards) == 1
    names = {
        stem: re.findall(r'run_script\("(.*)", __doc__\)', text) for stem, text in texts.items()
    }
    assert names == {stem: [stem.replace("_", "-")] for stem in texts}
    jobs = {*("preprocess", "train", "score", "experiment", "retrain", "export", "label_errors")}
    assert set(texts) == jobs


@pytest.mark.parametrize("path", JOBS, ids=lambda path: path.name)
def test_a_job_without_halftone_names_the_command_that_is_right(path: Path) -> None:
    command = [sys.executable, "-I", "-S", str(path), "--config", "a b.yaml"]
    done = subprocess.run(command, capture_output=True, text=True, cwd="/")
    python = ROOT / ".venv" / "bin" / "python"
    setup = "" if python.exists() else f"{ROOT}/build.sh setup, and then "
    assert (done.returncode, done.stdout, done.stderr) == (
        2,
        "",
        f"error: {sys.executable} does not have Halftone; run: {setup}{python} {path} --config "
        "'a b.yaml'\n  With spark-submit, add --py-files dist/halftone.zip, which ./build.sh "
        "package makes.\n",
    )


def test_a_reader_may_end_before_all_is_read() -> None:
    code = f"set -o pipefail; {sys.executable} -m halftone schema | true"
    done = subprocess.run(["bash", "-c", code], capture_output=True, text=True, timeout=60)
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")
