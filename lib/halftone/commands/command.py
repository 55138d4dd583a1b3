"""What a sub-command of `halftone` is."""

from __future__ import annotations

import argparse
import importlib
from collections.abc import Mapping, Sequence
from typing import Callable, NamedTuple

from halftone import logs
from halftone.system import job_process
from halftone.system.job_process import Report


class Command(NamedTuple):
    """A sub-command.

    Attributes:
        name: as it is typed, such as `label-errors`.
        summary: one line for the list of sub-commands.
        examples: arguments behind `halftone NAME`, one example each.
        add_own_flags: adds the command's flags to a parser.
        needs: packages besides those that all commands need, by the name that is imported, and the
            extra of the wheel that installs each; "" if it has it without an extra.
        notes: text below the examples.
        report: prints how the command ended if a signal ends it.
    """

    name: str
    summary: str
    examples: Sequence[str]
    add_own_flags: Callable[[argparse.ArgumentParser], None]
    needs: Mapping[str, str] = {}
    notes: str = ""
    report: Report = job_process.print_report

    @property
    def description(self) -> str:
        """The text of --help."""
        lines = [f"  halftone {self.name} {example}".rstrip() for example in self.examples]
        notes = f"\n\n{self.notes}" if self.notes else ""
        return "\n".join([f"{self.summary}.", "", "examples:", *lines]) + notes

    def add_flags(self, parser: argparse.ArgumentParser) -> None:
        """Add the command's flags, and those that all commands have."""
        self.add_own_flags(parser)
        logs.add_arguments(parser)

    def run(self, args: argparse.Namespace) -> int:
        """Import the command's module, do the work, and return the exit code."""
        module = importlib.import_module(f"halftone.commands.{self.name.replace('-', '_')}")
        return int(module.run(args))
