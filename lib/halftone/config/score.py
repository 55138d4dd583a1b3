"""Settings of scoring."""

from __future__ import annotations

from typing import Annotated, Final, Literal, Optional, Union

from pydantic import (
    Field,
    PositiveInt,
    WithJsonSchema,
    field_validator,
    model_validator,
)

from halftone.config.base import ConfigSection, TableOrUrl
from halftone.config.effects import ADDED, METRICS, NOTHING, ROWS, SHOWN

NO_VIEWS: Final = "none"
_Probability = Annotated[
    float, WithJsonSchema({"type": "number", "exclusiveMinimum": 0, "exclusiveMaximum": 1})
]


class ScoreSettings(ConfigSection):
    """How a model is applied to a dataset or to raw images."""

    split: Literal["train", "validation", "test"] = Field(
        "test", description="split to score", json_schema_extra=ROWS
    )
    batch_size: int = Field(
        256,
        ge=1,
        description="images per forward pass; each of their views counts",
        json_schema_extra=NOTHING,
    )
    views: Literal["none", "flip", "flip_translate"] = Field(
        NO_VIEWS,
        description="views of an image whose probabilities are averaged. flip: the image and its "
        "mirror image; flip_translate: with weight 1/2 also both after a translation by a pixel up "
        "and to the left, and by one down and to the right",
        json_schema_extra=ADDED,
    )
    threshold: Union[_Probability, Literal["best_f1", "precision"]] = Field(
        0.5,
        description="for two classes: the probability from which the second class is predicted; "
        "best_f1, precision: chosen on the validation split for the best F1 score, or for "
        "wanted_precision",
    )
    wanted_precision: Optional[float] = Field(
        None,
        gt=0.0,
        le=1.0,
        description="for threshold precision: minimum precision of the second class",
    )
    calibrate: bool = Field(
        False, description="scale logits by a temperature that is fitted on the validation split"
    )
    top_ks: tuple[PositiveInt, ...] = Field(
        (2, 5),
        description="for more than two classes: values of k of the top-k accuracies",
        json_schema_extra=METRICS,
    )
    only_new: bool = Field(
        False,
        description="reuse the predictions of images that the same model has scored before",
        json_schema_extra=NOTHING,
    )
    heat_maps: bool = Field(
        True,
        description="show in the report what speaks for the prediction in misclassified and least "
        "certain images (Grad-CAM)",
        json_schema_extra={**SHOWN, **ADDED},
    )
    max_csv_rows: int = Field(
        100_000,
        ge=0,
        description="for raw images: predictions.csv, with a row for each, is written if there are "
        "at most this many",
        json_schema_extra={**SHOWN, **ADDED},
    )
    catalogue: Optional[TableOrUrl] = Field(
        None,
        description="table that lists raw images, in one of the formats of preprocess.catalogue, "
        "with a column path and optionally a column label",
        json_schema_extra=ROWS,
    )

    slices: tuple[str, ...] = Field(
        (),
        description="columns of a catalogue, such as camera or site: metrics are also computed for "
        "the images of each of their values",
        json_schema_extra={**METRICS, **ADDED},
    )
    slice_catalogue: Optional[TableOrUrl] = Field(
        None,
        description="CSV or JSON Lines file, Parquet file or folder of Parquet files with a column "
        "path and the columns of slices; default: the catalogue that the dataset was made from, or "
        "score.catalogue for raw images",
        json_schema_extra={**METRICS, **ADDED},
    )

    @field_validator("slices")
    @classmethod
    def _are_different_columns(cls, names: tuple[str, ...]) -> tuple[str, ...]:
        cleaned = [name.strip().casefold() for name in names]
        if "" in cleaned or "path" in cleaned:
            raise ValueError("must be names of columns other than path")
        if len({*cleaned}) < len(cleaned):
            raise ValueError("names a column twice; case does not matter")
        return names

    @field_validator("threshold")
    @classmethod
    def _is_probability(cls, threshold: Union[float, str]) -> Union[float, str]:
        if isinstance(threshold, float) and not 0 < threshold < 1:
            raise ValueError("must be between 0 and 1, best_f1 or precision")
        return threshold

    @model_validator(mode="after")
    def _precision_has_a_threshold(self) -> ScoreSettings:
        if (self.threshold == "precision") != (self.wanted_precision is not None):
            raise ValueError("threshold precision and wanted_precision go together; give both")
        return self

    @model_validator(mode="after")
    def _has_slices_of_its_catalogue(self) -> ScoreSettings:
        if self.slice_catalogue is not None and not self.slices:
            raise ValueError("slice_catalogue is set and slices is empty; name its columns there")
        return self
