"""Draw photo-like and comic-like faces, for trying the pipeline."""

from __future__ import annotations

from argparse import Namespace

from halftone import cli
from halftone.sample import generate


def run(args: Namespace) -> int:
    """Draw the sample of the flags; return the exit code."""
    return cli.run_with_exit_code(lambda: generate.draw(args))
