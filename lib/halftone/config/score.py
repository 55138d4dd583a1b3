"""Settings of scoring."""

from __future__ import annotations

from typing import Literal, Optional, Union

from pydantic import (
    Field,
    PositiveInt,
    field_validator,
    model_validator,
)

from halftone.config.base import ConfigSection


class ScoreSettings(ConfigSection):
    """Model and dataset to predictions, metrics and a report."""

    split: Literal["train", "validation", "test"] = "test"
    batch_size: int = Field(256, ge=1)
    threshold: Union[float, Literal["best_f1", "precision"]] = Field(
        0.5,
        description="two classes: the probability from which it is the second; best_f1, precision: "
        "the one that does so on the validation split",
    )
    wanted_precision: Optional[float] = Field(
        None, gt=0.0, le=1.0, description="threshold precision: of the second class, at least"
    )
    calibrate: bool = Field(
        False, description="scale probabilities by a temperature found on the validation split"
    )
    top_ks: tuple[PositiveInt, ...] = Field(
        (2, 5), description="more classes: shares of rows whose label is among the k most probable"
    )
    only_new: bool = Field(
        False, description="keep the predictions of what the same model has scored before"
    )
    catalogue: Optional[str] = Field(
        None, description="CSV or Parquet file with a column path, and maybe label: raw images"
    )

    @field_validator("threshold")
    @classmethod
    def _is_probability(cls, threshold: Union[float, str]) -> Union[float, str]:
        if isinstance(threshold, float) and not 0 < threshold < 1:
            raise ValueError("must be between 0 and 1, best_f1 or precision")
        return threshold

    @model_validator(mode="after")
    def _precision_is_wanted(self) -> ScoreSettings:
        if (self.threshold == "precision") != (self.wanted_precision is not None):
            raise ValueError("threshold precision and wanted_precision go together; give both")
        return self
