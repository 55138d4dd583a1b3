"""Print a script that completes sub-commands and flags in a shell."""

from __future__ import annotations

from argparse import Namespace

import shtab

from halftone.commands.main import build_parser


def run(args: Namespace) -> int:
    """Print the script for the shell of the flags; return the exit code."""
    print(shtab.complete(build_parser(), shell=args.shell))
    return 0
