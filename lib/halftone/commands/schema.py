"""Print the JSON Schema of a config or of an experiment, for editors."""

from __future__ import annotations

from argparse import Namespace

from halftone.commands.flags import EXPERIMENT
from halftone.commands.output import print_text
from halftone.config import json_schema as config_schema
from halftone.config.json_schema import format_schema
from halftone.experiment import json_schema as experiment_schema


def run(args: Namespace) -> int:
    """Print the schema of what the arguments name; return the exit code."""
    schema = experiment_schema if args.of == EXPERIMENT else config_schema
    print_text(format_schema(schema.json_schema()).rstrip("\n"))
    return 0
