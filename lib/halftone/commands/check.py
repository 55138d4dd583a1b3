"""Print the settings of a config, and where each value comes from."""

from __future__ import annotations

from argparse import Namespace

from halftone import cli, printable
from halftone.config import origins


def run(args: Namespace) -> int:
    """Print the config of the flags; return the exit code."""
    return cli.run_with_exit_code(
        lambda: printable.print_line(origins.describe(args.config, args.set))
    )
