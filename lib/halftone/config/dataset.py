"""Settings of preprocessing: pixels, splits and the listing of images."""

from __future__ import annotations

from typing import Literal, Optional, Union

from pydantic import (
    Field,
    field_validator,
    model_validator,
)

from halftone.config.base import ConfigSection, _check_one_group

# fmt: off
_IMAGE_SUFFIXES = (
    "jpg", "jpeg", "jpe", "jfif", "png", "webp", "bmp", "tif", "tiff", "gif",
    "pbm", "pgm", "ppm", "pnm",
)
# fmt: on


class PixelSpec(ConfigSection):
    """The pixels that an image is decoded to, and the limits on what is decoded.

    The model directory keeps these values, so that scoring decodes as training did.
    """

    height_px: int = Field(64, ge=1, le=8192)
    width_px: int = Field(64, ge=1, le=8192)
    channels: Literal[1, 3] = Field(1, description="1: grey (ITU-R 601 luma), 3: colour (RGB)")
    fit: Literal["stretch", "crop", "pad"] = Field("stretch", description="how an aspect is met")
    background: int = Field(0, ge=0, le=255, description="grey level behind alpha and padding")
    max_pixels: int = Field(100_000_000, ge=1, description="a header that claims more is rejected")
    max_scans: int = Field(100, ge=1, description="a progressive JPEG with more is rejected")
    min_side_px: int = Field(1, ge=1, description="an image with a shorter side is rejected")


class SplitSettings(ConfigSection):
    """Which split an image goes to: a pure function of its path and the seed."""

    validation_fraction: float = Field(0.1, ge=0.0, lt=1.0)
    test_fraction: float = Field(0.1, ge=0.0, lt=1.0)
    folds: Optional[int] = Field(
        None, ge=2, le=100, description="for cross-validation: what is not test is cut into folds"
    )
    fold: int = Field(0, ge=0, description="the one of the folds, from 0, that is validation")
    from_path: Optional[str] = Field(
        None,
        description="regular expression on the path below paths.images whose one group names the "
        "split that the data brings (train, validation, test); where the data brings no "
        "validation, validation_fraction of its train becomes one",
    )
    group_by: Optional[str] = Field(
        None,
        description="regular expression whose one group names what must stay on one side of a "
        "split, such as a person or a pair; default: every image for itself",
    )

    @model_validator(mode="after")
    def _leaves_a_train_split(self) -> SplitSettings:
        held_out = self.validation_fraction + self.test_fraction
        if held_out >= 1:
            raise ValueError(
                f"validation_fraction {self.validation_fraction} + test_fraction "
                f"{self.test_fraction} = {held_out:g} leaves nothing to train on; "
                "their sum must be below 1"
            )
        if self.fold >= (self.folds or 1):
            raise ValueError(
                f"fold {self.fold} is not one of {self.folds or 0} folds; they count from 0"
            )
        return self

    @field_validator("from_path", "group_by")
    @classmethod
    def _has_one_group(cls, pattern: Optional[str]) -> Optional[str]:
        return None if pattern is None else _check_one_group(pattern)


class PreprocessSettings(ConfigSection):
    """Raw images to dataset."""

    label_from: str = Field(
        r"([^/]+)/[^/]+$",
        description="regular expression on the path below paths.images whose one group is the "
        "label; default: the name of the folder that holds the image",
    )
    catalogue: Optional[str] = Field(
        None,
        description="Parquet or CSV file that names the images in a column path, below "
        "paths.images, instead of a listing of the folder; further columns may be label, group, "
        "split, size_bytes, modified",
    )
    suffixes: tuple[str, ...] = Field(
        _IMAGE_SUFFIXES,
        description="files with another ending are left alone, and counted as ignored",
    )
    max_reject_fraction: float = Field(
        0.05, ge=0.0, le=1.0, description="above it the job stops before anything is published"
    )
    rows_per_shard: Union[Literal["auto"], int] = Field(
        "auto", description="auto: 16 MiB of pixels a shard, less where that makes too few shards"
    )
    near_duplicates: Literal["off", "report", "drop"] = Field(
        "report",
        description="images that look nearly the same as one of an earlier split (train, "
        "validation, test): drop takes them out of the later split",
    )
    near_distance: int = Field(
        4, ge=0, le=16, description="bits of a 64-bit perceptual hash that may differ"
    )
    min_shards: int = Field(
        8, ge=1, le=100_000, description="auto: a split has this many shards where its rows allow"
    )
    read_threads: int = Field(8, ge=1, le=256, description="chunks read ahead, in each task")

    @field_validator("label_from")
    @classmethod
    def _has_one_group(cls, pattern: str) -> str:
        return _check_one_group(pattern)

    @field_validator("rows_per_shard")
    @classmethod
    def _is_positive(cls, rows: Union[str, int]) -> Union[str, int]:
        if isinstance(rows, int) and rows < 1:
            raise ValueError("must be auto or a whole number from 1")
        return rows
