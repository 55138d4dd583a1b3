"""The pages on the command line and on installing name what there is."""

from __future__ import annotations

import argparse
import re
from pathlib import Path

import pytest
import yaml

from halftone.commands.catalogue import COMMANDS
from halftone.commands.command import Command
from halftone.commands.main import build_parser

ROOT = Path(__file__).parents[2]
PAGE = ROOT / "docs" / "reference" / "command-line.md"
INSTALL = ROOT / "docs" / "how-to" / "install.md"
COMMON = {"--help", "--config", "--set", "--log-level", "--log-format"}


def rows(heading: str) -> dict[str, str]:
    """The rows of the tables below a heading, by what the first column has as code."""
    page = "\n" + PAGE.read_text(encoding="utf-8")
    text = page.split(f"\n{heading}\n")[1].split("\n## ")[0]
    return dict(re.findall(r"^\| `([a-z-]+)` \|(.*)\|$", text, re.MULTILINE))


def flags_of(command: Command) -> set[str]:
    parser = argparse.ArgumentParser()
    command.add_flags(parser)
    return {flag for action in parser._actions for flag in action.option_strings} - {"-h"}


@pytest.mark.parametrize("command", COMMANDS, ids=lambda command: command.name)
def test_flags_of_a_sub_command(command: Command) -> None:
    named = set(re.findall(r"`(--[a-z-]+)", rows("## Flags").get(command.name, "")))
    assert named == flags_of(command) - COMMON


def test_sub_commands() -> None:
    assert list(rows("# Command line")) == [command.name for command in COMMANDS]


def test_the_task_of_databricks_is_valid() -> None:
    bundles = pytest.importorskip("databricks.bundles.jobs", reason="needs Python 3.10")
    text = INSTALL.read_text(encoding="utf-8")
    task = yaml.safe_load(text.split("```yaml\n")[1].split("```")[0])
    bundles.Task.from_dict({"task_key": "preprocess", **task})
    entry = task["python_wheel_task"]
    scripts = re.findall(
        r"^(\w+) = \"halftone\.", (ROOT / "pyproject.toml").read_text(), re.MULTILINE
    )
    assert (entry["package_name"], [entry["entry_point"]]) == ("halftone", scripts)
    assert build_parser().parse_args(entry["parameters"]).command == "preprocess"
