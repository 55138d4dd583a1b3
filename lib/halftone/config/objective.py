"""Settings of what a training minimises."""

from __future__ import annotations

from pydantic import Field

from halftone.config.base import ConfigSection


class ObjectiveSettings(ConfigSection):
    """The loss of a row. Metrics are those of the labels, whatever the loss."""

    label_smoothing: float = Field(
        0.0,
        ge=0.0,
        lt=1.0,
        description="part of a label's weight in the loss that all classes share equally",
    )
