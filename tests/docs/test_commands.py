"""Every command in README.md and docs/ is run by a test, or says why not; its flags are real."""

from __future__ import annotations

import ast
import functools
import re
import subprocess
import sys
from pathlib import Path

import pytest

from doc_blocks import PAGES, ROOT, Command, read_blocks, read_commands
from halftone import config

JOBS = "tests/jobs/test_jobs.py"
EXPORT = "tests/export/test_command.py"
README = "tests/docs/test_readme.py::test_own_images"
# Kinds of commands and the test that runs one of the kind, on smaller inputs. A command of another
# kind has <!-- not run: WHY --> on the line before its block.
RUN_BY = {
    "halftone.sample --output --pairs --seed": README,
    "jobs/preprocess.py --config": f"{JOBS}::test_from_images_to_a_scored_model",
    "jobs/preprocess.py --config --input": README,
    "jobs/preprocess.py --config --estimate --input": f"{JOBS}::test_the_switches_of_preprocess",
    "jobs/preprocess.py --config --output --set": (
        f"{JOBS}::test_flags_and_overrides_take_precedence_with_spark_submit"
    ),
    "jobs/train.py --config": f"{JOBS}::test_from_images_to_a_scored_model",
    "jobs/train.py --config --output --set": README,
    "jobs/score.py --config": f"{JOBS}::test_from_images_to_a_scored_model",
    "jobs/score.py --config --images --output": README,
    "jobs/score.py --config --images --output --set": (
        "tests/jobs/test_connect_jobs.py::test_all_jobs_on_an_object_store"
    ),
    "jobs/score.py --baseline --config --model --output": README,
    "jobs/score.py --config --model": (
        "tests/jobs/test_object_store_jobs.py::test_all_stages_with_every_path_on_the_store"
    ),
    "jobs/export.py --config --format --output": f"{EXPORT}::test_job",
    "jobs/export.py --config --format --output --quantise": f"{EXPORT}::test_job",
    "jobs/label_errors.py --config --folds --output": (
        "tests/label_errors/test_command.py::test_from_flipped_labels_to_a_corrected_dataset"
    ),
    "benchmarks/gpu.py --dry-run": (
        "tests/benchmarks/test_gpu.py::test_the_dry_run_does_all_of_it_and_claims_nothing"
    ),
    "jobs/retrain.py --config": ("tests/retrain/test_fortnight.py::test_two_weeks_of_runs"),
    "jobs/retrain.py --config --history": (
        "tests/retrain/test_command.py::test_promote_and_rollback"
    ),
}
COMMANDS = [command for page in PAGES for command in read_commands(page)]
OURS = re.compile(r"(jobs|benchmarks|docs)/|halftone[. ]")


def place(command: Command) -> str:
    return f"{command.page}:{command.line}"


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.relative_to(ROOT).as_posix())
def test_a_command_is_run_by_a_test_or_says_why_not(page: Path) -> None:
    silent = [
        f"{place(command)}: {command.kind}"
        for command in read_commands(page)
        if command.kind not in RUN_BY and not re.fullmatch(r"not run: \S.{9,}", command.mark)
    ]
    assert silent == []


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.relative_to(ROOT).as_posix())
def test_a_block_has_a_language(page: Path) -> None:
    """Shell code that is called something else would not be checked."""
    known = {"sh", "yaml", "python", "json", "text"}
    other = [f"{b.page}:{b.line}" for b in read_blocks(page) if b.language not in known]
    assert other == []


def test_the_tests_of_the_list_exist() -> None:
    missing = []
    for kind, test in RUN_BY.items():
        path, _, name = test.partition("::")
        functions = {
            node.name
            for node in ast.walk(ast.parse((ROOT / path).read_text(encoding="utf-8")))
            if isinstance(node, ast.FunctionDef)
        }
        if name not in functions:
            missing.append(f"{kind}: {test}")
    assert missing == []


def test_the_list_has_no_kind_that_no_page_has() -> None:
    assert sorted(set(RUN_BY) - {command.kind for command in COMMANDS}) == []


@functools.cache
def flags_of(program: str) -> set[str]:
    """The flags that the program's own help, or for a benchmark its source, names."""
    if program.startswith("benchmarks/"):
        sources = [ROOT / program, ROOT / "benchmarks" / "choice.py"]
        return set(re.findall(r'"(--[a-z-]+)"', "".join(path.read_text() for path in sources)))
    is_module = program.startswith("halftone")
    start = ["-m", *program.split()] if is_module else [str(ROOT / program)]
    command = [sys.executable, *start, "--help"]
    done = subprocess.run(command, capture_output=True, text=True, timeout=300, check=True)
    return set(re.findall(r"(?<![\w-])--[a-z][a-z-]*", done.stdout))


@pytest.mark.parametrize(
    "program", sorted({command.program for command in COMMANDS if OURS.match(command.program)})
)
def test_a_program_has_the_flags_that_pages_give_it(program: str) -> None:
    unknown = [
        f"{place(command)}: {flag}"
        for command in COMMANDS
        if command.program == program
        for flag in command.flags
        if flag not in flags_of(program)
    ]
    assert unknown == []


def test_a_wrong_flag_would_be_noticed() -> None:
    assert "--epoch" not in flags_of("jobs/experiment.py")
    assert {"--config", "--epochs", "--subset"} <= flags_of("jobs/experiment.py")


def test_configs_and_settings_of_commands_are_valid() -> None:
    for command in COMMANDS:
        for path in command.values("--config"):
            settings = command.values("--set")
            if path.startswith("conf/"):
                assert (ROOT / path).is_file(), f"{place(command)}: {path}"
            if settings and command.program != "jobs/experiment.py":
                base = path if path.startswith("conf/") else "conf/local.yaml"
                config.load_config(str(ROOT / base), settings)
