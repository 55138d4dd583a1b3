"""Print a script that completes sub-commands and flags in a shell."""

from __future__ import annotations

import argparse
from collections.abc import Iterator

import shtab

from halftone.commands.main import build_parser

# How values of these names are completed: URLs are often folders of this machine.
_VALUES = {"FILE": shtab.FILE, "DIR": shtab.DIRECTORY, "URL": shtab.FILE}


def run(args: argparse.Namespace) -> int:
    """Print the script for the shell of the flags; return the exit code."""
    parser = build_parser()
    for action in _actions(parser):
        if action.metavar in _VALUES:
            action.complete = _VALUES[str(action.metavar)]  # type: ignore[attr-defined]
    print(shtab.complete(parser, shell=args.shell))
    return 0


def _actions(parser: argparse.ArgumentParser) -> Iterator[argparse.Action]:
    """Yield the flags of a parser and of its sub-commands."""
    for action in parser._actions:
        yield action
        if isinstance(action, argparse._SubParsersAction):
            for command in action.choices.values():
                yield from _actions(command)
