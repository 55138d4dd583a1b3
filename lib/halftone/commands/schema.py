"""Print the JSON Schema of a config, for editors."""

from __future__ import annotations

import json
from argparse import Namespace

from halftone.config.json_schema import json_schema


def run(args: Namespace) -> int:
    """Print the schema; return the exit code."""
    print(json.dumps(json_schema(), indent=2))
    return 0
