"""The one line about events that could not be sent."""

from __future__ import annotations

import logging

from halftone.tracking.tracking import mask_passwords

_logger = logging.getLogger(__name__)


def log_warning(problem: str) -> None:
    _logger.warning(
        "lineage: %s; events of OpenLineage are missing, the job is not affected",
        mask_passwords(problem),
    )
