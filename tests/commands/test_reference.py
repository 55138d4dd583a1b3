"""The page on the command line has each sub-command and each flag."""

from __future__ import annotations

import argparse
import re
from pathlib import Path

import pytest

from halftone.commands.catalogue import COMMANDS
from halftone.commands.command import Command

PAGE = Path(__file__).parents[2] / "docs" / "reference" / "command-line.md"
COMMON = {"--help", "--config", "--set"}


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
