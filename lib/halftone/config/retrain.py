"""Settings of scheduled retraining."""

from __future__ import annotations

from typing import Literal, Optional

from pydantic import (
    Field,
    model_validator,
)

from halftone.config.base import ConfigSection


class GateSettings(ConfigSection):
    """When a challenger becomes champion: both are judged on the same rows of `score.split`."""

    measure: Literal["accuracy", "f1"] = Field(
        "accuracy", description="by which the better one is told; f1 as metrics.json has it"
    )
    confidence: float = Field(
        0.95, gt=0.5, lt=1.0, description="that a difference is no chance (two-sided, paired)"
    )
    max_class_drop: float = Field(
        0.05, ge=0.0, le=1.0, description="by which the recall of no class may fall"
    )
    floor: float = Field(
        0.0, ge=0.0, le=1.0, description="of the measure: what is below it is never promoted"
    )


class DriftSettings(ConfigSection):
    """How much images may differ from those before, by population stability index (PSI)."""

    warn: float = Field(0.1, gt=0.0, description="from which PSI on it is said")
    stop: float = Field(0.25, gt=0.0, description="from which PSI on nothing is trained")
    confidence: float = Field(
        0.999, gt=0.5, lt=1.0, description="that so large a PSI of so few images is no chance"
    )

    @model_validator(mode="after")
    def _warns_first(self) -> DriftSettings:
        if self.stop < self.warn:
            raise ValueError(f"stop {self.stop:g} is below warn {self.warn:g}; warn comes first")
        return self


class RetentionSettings(ConfigSection):
    """What is left of earlier nights. What the champion needs stays in any case."""

    nights: int = Field(10, ge=1, description="newest ones whose model and scores are kept")
    datasets: int = Field(3, ge=1, description="newest ones that are kept")
    days: float = Field(30.0, ge=0.0, description="what is younger is kept too")


class RetrainSettings(ConfigSection):
    """Scheduled retraining: new images to a better champion."""

    folder: Optional[str] = Field(
        None, description="nights, kept datasets, history and the lock; local path or URL"
    )
    registered_model: Optional[str] = Field(
        None,
        pattern=r"^[^/:@]+$",
        description="its name in MLflow, CATALOG.SCHEMA.NAME in Unity Catalog; default: name",
    )
    start: Literal["champion", "scratch"] = Field(
        "champion", description="first weights: the champion's, where its network is the same"
    )
    prune: bool = Field(False, description="forget images that are no longer there")
    gate: GateSettings = GateSettings()
    drift: DriftSettings = DriftSettings()
    keep: RetentionSettings = RetentionSettings()
    lock_secs: float = Field(
        600.0, ge=1.0, description="after so long without a sign of life an owner counts as dead"
    )
    max_attempts: int = Field(
        5,
        ge=1,
        description="calls that a step may take, failed or killed, before a night is closed",
    )
    fail_on_refusal: bool = Field(
        False, description="exit code 3, not 0, where gate or drift refuse"
    )
    webhook: Optional[str] = Field(
        None,
        pattern=r"^(https?://.+|\$[A-Za-z_][A-Za-z0-9_]*)$",
        description="URL to which the outcome is sent as JSON; $NAME: the environment's variable",
    )
    outcome_file: Optional[str] = Field(
        None, description="file or URL that the outcome is written to as JSON"
    )
