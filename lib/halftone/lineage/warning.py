"""The one line about events that could not be sent."""

from __future__ import annotations

import sys

from halftone import printable
from halftone.tracking.tracking import mask_passwords


def print_warning(problem: str) -> None:
    printable.print_line(
        f"lineage: {mask_passwords(problem)}; events of OpenLineage are missing, the job is not "
        "affected",
        sys.stderr,
    )
