"""Find images whose label is probably wrong, and write a catalogue to correct them."""

from __future__ import annotations

from argparse import Namespace

from halftone import cli
from halftone.commands import catalogue
from halftone.config import Config
from halftone.label_errors import command, findings
from halftone.spark.session import session_on_demand


def run(args: Namespace) -> int:
    """Run the job with the config of the flags; return its exit code."""
    return cli.run_job(_find_label_errors, catalogue.LABEL_ERRORS, args)


def _find_label_errors(config: Config) -> None:
    with session_on_demand(f"{config.name}: label errors", config.spark) as session:
        found, output = command.find_label_errors(config, session)
        print(findings.format_findings(found, output))
