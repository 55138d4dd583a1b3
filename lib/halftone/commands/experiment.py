"""Run the trainings of an experiment and write a table of their results beside a paper's."""

from __future__ import annotations

from argparse import Namespace

from halftone import cli
from halftone.experiment import command


def run(args: Namespace) -> int:
    """Run the experiment of the flags; return the exit code."""
    return cli.run_with_exit_code(
        lambda: command.run_experiment(
            args.config, args.input, args.output, args.epochs, args.subset
        )
    )
