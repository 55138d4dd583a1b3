"""The command line of `halftone`."""

from __future__ import annotations

import argparse
from collections.abc import Sequence

import halftone
from halftone import logs
from halftone.cli.flags import CommandParser
from halftone.commands.catalogue import BY_NAME, COMMANDS
from halftone.commands.command import Command
from halftone.errors import InputError
from halftone.system import job_process, python_environment

_DESCRIPTION = """\
Turn raw images into a trained, tested and scored classifier.

examples:
  halftone sample     --output out/demo/images      draw a small set of images
  halftone check      --config conf/local.yaml      the settings, and where each comes from
  halftone preprocess --config conf/local.yaml      images to a dataset
  halftone train      --config conf/local.yaml      a dataset to a model
  halftone score      --config conf/local.yaml      predictions, metrics and a report
  halftone COMMAND --help                           flags and examples of a command"""


def build_parser() -> argparse.ArgumentParser:
    """Return the parser of `halftone` with all its sub-commands."""
    parser = CommandParser(prog="halftone", description=_DESCRIPTION)
    parser.add_argument("--version", action="version", version=f"halftone {halftone.__version__}")
    commands = parser.add_subparsers(
        dest="command", required=True, metavar="COMMAND", title="commands"
    )
    for command in COMMANDS:
        command.add_flags(
            commands.add_parser(
                command.name,
                help=command.summary[0].lower() + command.summary[1:],
                description=command.description,
            )
        )
    return parser


def main(argv: Sequence[str]) -> int:
    """Run `halftone` with these arguments, and return the exit code."""
    args = build_parser().parse_args(argv)
    return run_command(BY_NAME[args.command], args)


def run_command(command: Command, args: argparse.Namespace) -> int:
    """Run a sub-command with parsed arguments, and return the exit code."""
    job_process.set_report(command.report)
    try:
        logs.configure(args)
        python_environment.check_python(f"halftone {command.name}", command.needs)
    except InputError as error:
        logs.report_end(f"error: {error}")
        return 2
    return command.run(args)
