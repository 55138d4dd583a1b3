"""Print the settings of a config, and where each value comes from."""

from __future__ import annotations

from argparse import Namespace

from halftone import cli
from halftone.commands.output import print_text
from halftone.config import origins


def run(args: Namespace) -> int:
    """Print the config of the flags; return the exit code."""
    return cli.run_with_exit_code(lambda: print_text(origins.describe(args.config, args.set)))
