"""The command line of the files in jobs/, for spark-submit and plain Python."""

from __future__ import annotations

from typing import NoReturn

from halftone.cli.flags import CommandParser
from halftone.commands.catalogue import BY_NAME
from halftone.commands.main import run_command
from halftone.system import job_process


def run_script(name: str, description: str) -> NoReturn:
    """Run a sub-command of `halftone` as this process, and end it.

    Args:
        name: of the sub-command.
        description: the text of --help.
    """
    command = BY_NAME[name]
    job_process.start(command.report)
    parser = CommandParser(description=description)
    command.add_flags(parser)
    job_process.leave(run_command(command, parser.parse_args()))
