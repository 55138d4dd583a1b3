"""Settings of preprocessing: pixels, splits, and the conversion of images to a dataset."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Annotated, Any, Literal, Optional, Union

from pydantic import (
    Field,
    WithJsonSchema,
    field_validator,
    model_validator,
)

from halftone.config.base import ConfigSection, TableOrUrl, check_one_group
from halftone.config.effects import ADDED, NOTHING, drop_added_defaults
from halftone.url_schemes import TABLE_PREFIX

# fmt: off
_FIRST_SUFFIXES = (
    "jpg", "jpeg", "jpe", "jfif", "png", "webp", "bmp", "tif", "tiff", "gif",
    "pbm", "pgm", "ppm", "pnm",
)
# Added later.
_IMAGE_SUFFIXES = (
    *_FIRST_SUFFIXES, "heic", "heif", "avif", "jxl", "jp2", "j2k", "dcm",
)
# fmt: on
_JPEG_QUALITY = 95
DATABASE_PREFIX = "jdbc:"  # of URLs of databases
READ_BY_SPARK = (DATABASE_PREFIX, TABLE_PREFIX)
_PASSWORD = re.compile(r"(?i)(password|passwd|pwd)\s*=|//[^/@:?;]*:[^/@]*@")


class PixelSpec(ConfigSection):
    """Size and format of decoded images, and limits on the images that are decoded.

    The model directory stores these values, so that scoring decodes images as training did.
    """

    height_px: int = Field(64, ge=1, le=8192, description="height to which images are resized")
    width_px: int = Field(64, ge=1, le=8192, description="width to which images are resized")
    channels: Literal[1, 3] = Field(1, description="1: grey (ITU-R 601 luma), 3: colour (RGB)")
    fit: Literal["stretch", "crop", "pad"] = Field(
        "stretch",
        description="how images of another aspect ratio are resized: stretch distorts them, crop "
        "cuts the centre, pad adds margins of the background",
    )
    background: int = Field(
        0, ge=0, le=255, description="grey level behind transparent pixels and of margins"
    )
    max_pixels: int = Field(
        100_000_000, ge=1, description="reject images with more pixels, before they are decoded"
    )
    max_scans: int = Field(100, ge=1, description="reject progressive JPEGs with more scans")
    min_side_px: int = Field(1, ge=1, description="reject images with a shorter side")
    encoding: Literal["raw", "jpeg", "png"] = Field(
        "raw",
        description="how a dataset stores the resized images: raw uint8, which is read fastest, "
        "png, the same pixels in fewer bytes, or jpeg, much smaller and not quite the same pixels",
        json_schema_extra=ADDED,
    )
    jpeg_quality: int = Field(
        _JPEG_QUALITY,
        ge=1,
        le=100,
        description="of encoding jpeg; colour is not subsampled",
        json_schema_extra=ADDED,
    )

    @property
    def shape(self) -> tuple[int, int, int]:
        """Height, width and channels."""
        return self.height_px, self.width_px, self.channels

    @property
    def image_bytes(self) -> int:
        """The size of an image's uint8 pixels, which do not depend on how they are encoded."""
        return self.height_px * self.width_px * self.channels

    def without_lossless_encoding(self) -> PixelSpec:
        """Return raw in place of png: the settings that decide the values of the pixels."""
        return self.model_copy(update={"encoding": "raw"}) if self.encoding == "png" else self

    def identity(self) -> dict[str, Any]:
        """Return the settings for a digest."""
        return drop_added_defaults(self, self.model_dump(mode="json"))

    @model_validator(mode="after")
    def _has_a_quality_only_for_jpeg(self) -> PixelSpec:
        if self.encoding != "jpeg" and self.jpeg_quality != _JPEG_QUALITY:
            raise ValueError(
                f"jpeg_quality is {self.jpeg_quality} and encoding is {self.encoding}, which has "
                "no quality; remove jpeg_quality, or set encoding: jpeg"
            )
        return self


class SplitSettings(ConfigSection):
    """How images are assigned to splits: a pure function of the path and the seed."""

    validation_fraction: float = Field(
        0.1, ge=0.0, lt=1.0, description="fraction of the images in the validation split"
    )
    test_fraction: float = Field(
        0.1, ge=0.0, lt=1.0, description="fraction of the images in the test split"
    )
    folds: Optional[int] = Field(
        None,
        ge=2,
        le=100,
        description="for cross-validation: number of folds of the images outside the test split",
    )
    fold: int = Field(
        0, ge=0, description="for cross-validation: number of the validation fold, from 0"
    )
    from_path: Optional[str] = Field(
        None,
        description="regular expression on the path below paths.images with one group that is the "
        "name of a predefined split (train, validation, test); without predefined validation "
        "images, validation_fraction of the train images are used",
    )
    group_by: Optional[str] = Field(
        None,
        description="regular expression on the path with one group; images with the same group, "
        "such as those of a person, are assigned to the same split; default: each image is "
        "assigned by itself",
    )
    allow_ungrouped: bool = Field(
        False,
        description="images in whose path group_by finds no group are assigned by themselves, and "
        "counted; default: they are an error",
        json_schema_extra=NOTHING,
    )

    stratify: Literal["auto", "always", "never"] = Field(
        "auto",
        description="whether each class is split by itself, so that its numbers of validation and "
        "test images are near the fractions: auto does so for new classes that the hash of the "
        "path would leave without images in a split, always for all classes, never for none; "
        "images with groups, folds or predefined splits are not stratified",
        json_schema_extra=ADDED,
    )

    @property
    def can_stratify(self) -> bool:
        """Whether each image is drawn by itself, by the hash of its path."""
        return self._hindrance() is None

    def _hindrance(self) -> Optional[str]:
        """Return the first setting with which classes are not stratified."""
        names = ("folds", "from_path", "group_by")
        return next((name for name in names if getattr(self, name) is not None), None)

    @model_validator(mode="after")
    def _stratifies_single_images(self) -> SplitSettings:
        name = self._hindrance()
        if self.stratify == "always" and name is not None:
            raise ValueError(
                f"stratify is always and {name} is {getattr(self, name)!r}: only images that are "
                f"drawn by themselves can be stratified; set stratify: auto, or remove {name}"
            )
        return self

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
        return None if pattern is None else check_one_group(pattern)


class PreprocessSettings(ConfigSection):
    """How raw images are converted to a dataset."""

    label_from: str = Field(
        r"([^/]+)/[^/]+$",
        description="regular expression on the path below paths.images with one group that is the "
        "label; default: the name of the folder that contains the image",
    )
    catalogue: Optional[TableOrUrl] = Field(
        None,
        description="table that lists the images, used instead of a listing of the folder: CSV, "
        "JSON Lines, a Parquet file, a folder of them or a Delta table; the column path holds "
        "paths relative to paths.images, or absolute ones below it; optional columns are label, "
        "group, split, size_bytes, modified. Or metadata of an ImageFolder, a .lst file, a "
        "manifest of SageMaker or Rekognition, a file of COCO, the manifest.json of a report of S3 "
        "Inventory, a database (jdbc:) with catalogue_query, or a table that Spark knows by name, "
        "such as table:main.faces.images",
    )
    catalogue_query: Optional[str] = Field(
        None,
        min_length=1,
        description="SQL query whose rows are the images, if catalogue is a database, such as "
        "jdbc:postgresql://HOST/DATABASE; HALFTONE_JDBC_USER and HALFTONE_JDBC_PASSWORD are taken "
        "from the environment",
        json_schema_extra=ADDED,
    )
    label_column: Optional[str] = Field(
        None,
        min_length=1,
        description="name of the catalogue's column, or of the attribute of a manifest, that is "
        "the label; default: label, or the only attribute. score.catalogue may have it too",
        json_schema_extra=ADDED,
    )
    catalogue_boxes: bool = Field(
        False,
        description="each box of a file of COCO, or of a manifest, is an image of its own; a table "
        "has boxes if it has the columns x, y, width and height",
        json_schema_extra=ADDED,
    )
    suffixes: tuple[str, ...] = Field(
        _IMAGE_SUFFIXES,
        description="file name extensions of images; other files are counted as ignored",
    )
    archives: Literal["auto", "read", "ignore"] = Field(
        "auto",
        description="whether images in archives and tables are read (.tar and WebDataset, .zip, "
        ".parquet, TFRecord, HDF5, IDX, CIFAR's .bin): auto reads them if the folder has no files "
        "that are images, read always, ignore never; archives that are not read are counted as "
        "ignored",
        json_schema_extra=ADDED,
    )
    archive_labels: Literal["stored", "path"] = Field(
        "stored",
        description="the labels of images in archives: stored uses those that the archives hold "
        "(of WebDataset, Parquet, TFRecord, HDF5, IDX and CIFAR), and label_from if they hold "
        "none; path always uses label_from, with the archive as a folder of its name",
        json_schema_extra=ADDED,
    )
    max_reject_fraction: float = Field(
        0.05,
        ge=0.0,
        le=1.0,
        description="if a larger fraction of the images is rejected, the job fails before it "
        "publishes the dataset",
        json_schema_extra=NOTHING,
    )
    rows_per_shard: Union[
        Literal["auto"], Annotated[int, WithJsonSchema({"type": "integer", "minimum": 1})]
    ] = Field(
        "auto",
        description="auto: 16 MiB of pixels per shard, fewer if a split would have less than "
        "min_shards shards",
    )
    near_duplicates: Literal["off", "report", "drop"] = Field(
        "report",
        description="images that look nearly the same as an image of an earlier split (in the "
        "order train, validation, test): report lists them, drop removes those with the same "
        "label from the later split",
    )
    max_near_duplicate_fraction: float = Field(
        0.2,
        ge=0.0,
        le=1.0,
        description="if near_duplicates: drop would remove a larger fraction of a split, the job "
        "fails before it publishes the dataset",
        json_schema_extra=NOTHING,
    )
    near_distance: int = Field(
        4,
        ge=0,
        le=16,
        description="largest number of different bits of the 64-bit perceptual hashes of near "
        "duplicates",
    )
    min_shards: int = Field(
        8,
        ge=1,
        le=100_000,
        description="with rows_per_shard auto: minimum number of shards of a split, if it has "
        "enough rows",
    )
    full_listing_days: float = Field(
        7.0,
        ge=0.0,
        description="with --changes: days after which the folder is listed nevertheless, which "
        "finds what no notification named; 0: always",
        json_schema_extra={**NOTHING, **ADDED},
    )
    read_threads: int = Field(
        8,
        ge=1,
        le=256,
        description="threads of each Spark task that read images ahead",
        json_schema_extra=NOTHING,
    )

    @model_validator(mode="after")
    def _has_a_query_for_a_database(self) -> PreprocessSettings:
        is_database = self.catalogue is not None and self.catalogue.startswith(DATABASE_PREFIX)
        if is_database and _PASSWORD.search(str(self.catalogue)):
            raise ValueError(
                "catalogue contains a password, which would be written to manifests and logs; "
                "remove it, and set HALFTONE_JDBC_USER and HALFTONE_JDBC_PASSWORD in the "
                "environment"
            )
        if is_database and self.catalogue_query is None:
            raise ValueError(
                f"catalogue is the database {self.catalogue} and catalogue_query is missing; set "
                "it to the SELECT whose rows are the images, such as SELECT path, label FROM images"
            )
        if self.catalogue_query is not None and not is_database:
            raise ValueError(
                "catalogue_query is set and catalogue is no database; set catalogue to its URL, "
                "such as jdbc:postgresql://HOST/DATABASE, or remove catalogue_query"
            )
        return self

    def identify(self, values: Mapping[str, Any]) -> dict[str, Any]:
        """Return settings of this section for a digest.

        The default of `suffixes` has grown. It counts as its first list, so that digests of older
        versions stay valid; that list itself, given by a user, then counts as another.
        """
        kept = dict(values)
        given = tuple(kept.get("suffixes", ()))
        if given in (_IMAGE_SUFFIXES, _FIRST_SUFFIXES):
            first = list(_FIRST_SUFFIXES)
            kept["suffixes"] = first if given == _IMAGE_SUFFIXES else [*first, "and no others"]
            kept["suffixes"] = type(values["suffixes"])(kept["suffixes"])
        return kept

    @field_validator("label_from")
    @classmethod
    def _has_one_group(cls, pattern: str) -> str:
        return check_one_group(pattern)

    @field_validator("rows_per_shard")
    @classmethod
    def _is_positive(cls, rows: Union[str, int]) -> Union[str, int]:
        if isinstance(rows, int) and rows < 1:
            raise ValueError("must be auto or a whole number from 1")
        return rows
