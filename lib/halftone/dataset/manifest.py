"""The manifest of a dataset: a JSON file, written last, that names every other file."""

from __future__ import annotations

import json
from typing import Any, Optional

from pydantic import BaseModel, ConfigDict, ValidationError

from halftone import storage
from halftone.config import PixelSpec, PreprocessSettings, SplitSettings
from halftone.dataset import pixel_statistics
from halftone.dataset.pixel_statistics import PixelStatistics
from halftone.dataset.schema import SCHEMA_VERSION
from halftone.dataset.shard_files import ShardFile
from halftone.dataset.splits import SPLITS
from halftone.errors import InputError

MANIFEST_NAME = "manifest.json"
CONTACT_SHEETS = "contact_sheets"
# Folder of the manifests of all versions whose files exist. Spark ignores names with a leading
# underscore.
VERSIONS = "_versions"
REJECTS, DUPLICATES, NEAR_DUPLICATES = "rejects", "duplicates", "near_duplicates"


class Manifest(BaseModel):
    """The contents of one version of a dataset. Readers open only the files that are named here."""

    model_config = ConfigDict(frozen=True)

    # `schema` in the JSON file, which is a reserved name in pydantic.
    schema_version: int
    halftone_version: str
    created: str  # UTC
    seed: int
    pixels: PixelSpec
    splits: SplitSettings
    preprocess: PreprocessSettings
    images: str  # the folder or URL that was read
    labels: list[str]  # label_id is the index in this list
    inputs: int  # = rows + rejects + duplicates
    rows: int
    rejects: int
    duplicates: int
    ignored: dict[str, int]  # number of files that are no images, by their ending or kind
    rejects_by_reason: dict[str, int]
    counts: dict[str, dict[str, int]]  # rows by split and label
    version: int  # 1, 2, ...: increases with each run that changes the dataset
    gone: int  # inputs whose files no longer exist; they are counted and kept
    fingerprint: str  # of all rows in order; equal for equal rows
    files: list[ShardFile]
    rejects_files: list[str]
    duplicates_files: list[str]
    # These are rows; with near_duplicates: drop, those with the same label are duplicates.
    near_duplicates: int
    near_duplicates_files: list[str]
    possible_label_errors: int = 0  # near duplicates of an image with another label
    # Of random pairs of rows with different labels, the fraction within preprocess.near_distance;
    # None with near_duplicates off, and from an older Halftone.
    chance_near_fraction: Optional[float] = None
    contact_sheet: str  # PNG: images of each class, and rejects
    # Absent in manifests of an older Halftone:
    moved: int = 0  # rows that got another label or split in this version
    ungrouped: int = 0  # images without a group, if images are grouped
    # Of the table preprocess.catalogue: those of the columns label, group and split that decide;
    # None: not known. And the columns that have no meaning.
    used_columns: Optional[list[str]] = None
    unknown_columns: list[str] = []
    conflict_labels: str = ""  # digest of the labels of images that are rejected as conflicts

    def shape(self) -> tuple[int, int, int]:
        """Height, width and channels of every image."""
        return self.pixels.shape

    def empty_labels(self) -> list[str]:
        """Return the labels that have no row in any split."""
        by_split = self.counts.values()
        return [label for label in self.labels if not any(counts[label] for counts in by_split)]

    def shards(self, split: str) -> list[ShardFile]:
        return [file for file in self.files if file.split == split]

    def pixel_statistics(self, split: str) -> PixelStatistics:
        """Return mean and standard deviation of all pixels of a split, from exact sums.

        Raises:
            InputError: the split has no rows, or an older Halftone wrote some of its shards.
        """
        files = self.shards(split)
        subject = f"the {split} split of the dataset made from {self.images}"
        if not files:
            raise InputError(f"{subject} has no rows; preprocess more images, or change splits")
        if not all(file.sums for file in files):
            raise InputError(
                f"{subject} has no pixel statistics (written by an older Halftone); run preprocess "
                "with a new --output, or use train.normalise 0..1"
            )
        pixels = sum(file.rows for file in files) * self.pixels.height_px * self.pixels.width_px
        return pixel_statistics.statistics_from_sums(
            pixels, [(file.sums, file.square_sums) for file in files]
        )


def read_manifest(root: str) -> Manifest:
    """Read the manifest of the dataset at `root`.

    Raises:
        InputError: there is no manifest, it is invalid or of a newer schema version, or the dataset
            contains a file `_common_metadata`, which could run code when it is read.
    """
    url = storage.join(root, MANIFEST_NAME)
    try:
        raw = storage.read_json(url)
    except FileNotFoundError:
        raise InputError(
            f"{root}: no dataset here (no {MANIFEST_NAME}); run jobs/preprocess.py, or check "
            "paths.dataset or --dataset"
        ) from None
    except ValueError as error:
        raise InputError(f"{url}: not a manifest: {error}") from None
    version = raw.pop("schema", None) if isinstance(raw, dict) else None
    if not isinstance(version, int):
        raise InputError(f"{url}: not a manifest: it has no schema version")
    if version > SCHEMA_VERSION:
        raise InputError(
            f"{url}: schema version {version} is newer than {SCHEMA_VERSION}, the newest that "
            "this Halftone reads; upgrade Halftone, or run preprocess again into another folder"
        )
    if storage.exists(storage.join(root, "_common_metadata")):
        raise InputError(
            f"{root}/_common_metadata: Petastorm would unpickle this file, which can run code; "
            "Halftone never writes it. Remove it"
        )
    try:
        # The settings are strict models: only JSON mode converts a list to a tuple.
        return Manifest.model_validate_json(json.dumps({"schema_version": version, **raw}))
    except ValidationError as error:
        keys = ", ".join(".".join(map(str, item["loc"])) for item in error.errors())
        raise InputError(f"{url}: not a manifest: wrong or missing {keys}") from None


def publish_manifest(root: str, manifest: Manifest) -> None:
    """Write `manifest` as the current one: readers now see the files that it names."""
    raw: dict[str, Any] = manifest.model_dump(mode="json")
    document = {"schema": raw.pop("schema_version"), **raw}
    storage.write_json(storage.join(root, VERSIONS, _version_name(manifest.version)), document)
    storage.write_json(storage.join(root, MANIFEST_NAME), document)


def remove_unreferenced_files(root: str, manifest: Manifest) -> None:
    """Remove the files that belong to neither this version nor the previous one.

    Readers that read the manifest just before this version was published are not disturbed.
    """
    current_names = [_version_name(manifest.version - 1), _version_name(manifest.version)]
    versions = storage.join(root, VERSIONS)
    referenced: set[str] = set()
    for name in storage.list_names(versions):
        if name in current_names:
            raw = storage.read_json(storage.join(versions, name))
            referenced.update(file["path"] for file in raw["files"])
            referenced.add(raw["contact_sheet"])
            for table_name in (REJECTS, DUPLICATES, NEAR_DUPLICATES):
                referenced.update(raw[f"{table_name}_files"])
        else:
            storage.remove(storage.join(versions, name))
    for folder in (*SPLITS, REJECTS, DUPLICATES, NEAR_DUPLICATES, CONTACT_SHEETS):
        for name in storage.list_names(storage.join(root, folder)):
            if f"{folder}/{name}" not in referenced:
                storage.remove(storage.join(root, folder, name))


def _version_name(version: int) -> str:
    return f"{version:06d}.json"
