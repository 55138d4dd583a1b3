"""Settings of scheduled retraining."""

from __future__ import annotations

from typing import Literal, Optional

from pydantic import (
    Field,
    model_validator,
)

from halftone.config.base import ConfigSection, PathOrUrl
from halftone.config.effects import ADDED, NOTHING


class GateSettings(ConfigSection):
    """When a challenger is promoted: it is compared on the same rows of `score.split`."""

    measure: Literal["accuracy", "f1"] = Field(
        "accuracy", description="metric of the comparison; f1 is that of metrics.json"
    )
    confidence: float = Field(
        0.95,
        gt=0.5,
        lt=1.0,
        description="confidence level of the difference (two-sided, paired)",
    )
    max_class_drop: float = Field(
        0.05, ge=0.0, le=1.0, description="largest accepted drop of the recall of any class"
    )
    floor: float = Field(
        0.0, ge=0.0, le=1.0, description="a challenger with a lower measure is never promoted"
    )
    slice_floor: float = Field(
        0.0,
        ge=0.0,
        le=1.0,
        description="a challenger with a lower measure in any slice of score.slices is never "
        "promoted; 0: off",
        json_schema_extra=ADDED,
    )
    max_slice_drop: float = Field(
        1.0,
        ge=0.0,
        le=1.0,
        description="largest accepted drop of the measure in any slice; 1: off",
        json_schema_extra=ADDED,
    )
    slice_min_rows: int = Field(
        50,
        ge=1,
        description="slices with fewer rows are not held against a challenger",
        json_schema_extra=ADDED,
    )

    @property
    def uses_slices(self) -> bool:
        return self.slice_floor > 0 or self.max_slice_drop < 1


class DriftSettings(ConfigSection):
    """Limits on the drift of new images: the population stability index (PSI) of image properties,
    and how well a classifier tells the champion's embeddings of new and of earlier images apart.
    """

    warn: float = Field(0.1, gt=0.0, description="PSI from which drift is reported")
    stop: float = Field(0.25, gt=0.0, description="PSI from which drift blocks training")
    confidence: float = Field(
        0.999,
        gt=0.5,
        lt=1.0,
        description="confidence level: a drift counts only if it is unlikely to occur by chance "
        "for that number of images",
    )
    embeddings: bool = Field(
        True,
        description="whether the embeddings of new images are compared, which takes a forward pass "
        "of the champion for a sample of at most 4,000 images",
        json_schema_extra=ADDED,
    )
    embedding_warn: float = Field(
        0.65,
        ge=0.5,
        le=1.0,
        description="accuracy of the classifier of embeddings from which drift is reported; 0.5 is "
        "chance",
        json_schema_extra=ADDED,
    )
    embedding_stop: float = Field(
        0.9,
        ge=0.5,
        le=1.0,
        description="accuracy of the classifier of embeddings from which drift blocks training",
        json_schema_extra=ADDED,
    )

    @model_validator(mode="after")
    def _warns_first(self) -> DriftSettings:
        for name in ("", "embedding_"):
            warn, stop = getattr(self, f"{name}warn"), getattr(self, f"{name}stop")
            if stop < warn:
                raise ValueError(
                    f"{name}stop {stop:g} is below {name}warn {warn:g}; {name}warn comes first"
                )
        return self


class RetentionSettings(ConfigSection):
    """How long files of earlier runs are kept. The champion's files are always kept."""

    nights: int = Field(
        10, ge=1, description="number of latest runs whose models and scores are kept"
    )
    datasets: int = Field(3, ge=1, description="number of latest datasets that are kept")
    days: float = Field(30.0, ge=0.0, description="files of more recent days are kept as well")


class RetrainSettings(ConfigSection):
    """Scheduled retraining on new images."""

    folder: Optional[PathOrUrl] = Field(
        None,
        description="local path or URL for runs, datasets, history and the lock",
        json_schema_extra=NOTHING,
    )
    registered_model: Optional[str] = Field(
        None,
        pattern=r"^[^/:@]+$",
        description="name of the model in MLflow, CATALOG.SCHEMA.NAME in Unity Catalog; default: "
        "the config's name",
    )
    start: Literal["champion", "scratch"] = Field(
        "champion",
        description="initial weights: champion uses the champion's, if the network is the same",
    )
    prune: bool = Field(
        False,
        description="remove images that no longer exist from the dataset",
        json_schema_extra=NOTHING,
    )
    gate: GateSettings = GateSettings()
    drift: DriftSettings = DriftSettings()
    keep: RetentionSettings = Field(RetentionSettings(), json_schema_extra=NOTHING)
    lock_secs: float = Field(
        600.0,
        ge=1.0,
        description="a lock expires if its owner has not renewed it for this many seconds",
        json_schema_extra=NOTHING,
    )
    max_attempts: int = Field(
        5,
        ge=1,
        description="number of failed or killed attempts at a step after which a run is closed",
        json_schema_extra=NOTHING,
    )
    fail_on_refusal: bool = Field(
        False,
        description="exit with code 3 instead of 0 if gate or drift refuse the challenger",
        json_schema_extra=NOTHING,
    )
    webhook: Optional[str] = Field(
        None,
        pattern=r"^(https?://.+|\$[A-Za-z_][A-Za-z0-9_]*)$",
        description="URL to which the outcome is sent as JSON; $NAME: an environment variable",
        json_schema_extra=NOTHING,
    )
    outcome_file: Optional[PathOrUrl] = Field(
        None,
        description="file or URL to which the outcome is written as JSON",
        json_schema_extra=NOTHING,
    )
