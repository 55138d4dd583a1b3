"""What a dataset consists of: one JSON file, written last, that names every other file."""

from __future__ import annotations

import json
from typing import Any

from pydantic import BaseModel, ConfigDict, ValidationError

from halftone import storage
from halftone.config import PixelSpec, PreprocessSettings, SplitSettings
from halftone.dataset import pixel_statistics
from halftone.dataset.pixel_statistics import PixelStatistics
from halftone.dataset.schema import SCHEMA_VERSION
from halftone.dataset.splits import SPLITS
from halftone.errors import InputError

MANIFEST_NAME = "manifest.json"
CONTACT_SHEETS = "contact_sheets"
# Every version's manifest, as long as its files are kept. A leading underscore hides it from Spark.
VERSIONS = "_versions"
REJECTS, DUPLICATES, NEAR_DUPLICATES = "rejects", "duplicates", "near_duplicates"


class ShardFile(BaseModel):
    """One Parquet file of one row group."""

    model_config = ConfigDict(frozen=True)

    path: str  # below the dataset's root
    split: str
    rows: int
    size_bytes: int
    digest: str  # BLAKE2b of its keys, labels and pixels
    # Of its pixels, and of their squares, by channel; none in a dataset of an older Halftone.
    sums: tuple[int, ...] = ()
    square_sums: tuple[int, ...] = ()


class Manifest(BaseModel):
    """A dataset, whole. Readers open the files named here and no others."""

    model_config = ConfigDict(frozen=True)

    # The field's name in the file is `schema`, which pydantic keeps for itself.
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
    ignored: dict[str, int]  # files that no suffix calls an image, by their ending
    rejects_by_reason: dict[str, int]
    counts: dict[str, dict[str, int]]  # rows by split and label
    version: int  # 1, 2, ...: each run that changes something makes the next one
    gone: int  # rows and others whose files were no longer there, and that are kept all the same
    fingerprint: str  # of all rows, in order: the same rows give the same fingerprint
    files: list[ShardFile]
    rejects_files: list[str]
    duplicates_files: list[str]
    near_duplicates: int  # rows, or with preprocess.near_duplicates drop duplicates
    near_duplicates_files: list[str]
    contact_sheet: str  # PNG: images of each class, and rejects

    def shape(self) -> tuple[int, int, int]:
        """Height, width and channels of every image."""
        return self.pixels.height_px, self.pixels.width_px, self.pixels.channels

    def shards(self, split: str) -> list[ShardFile]:
        return [file for file in self.files if file.split == split]

    def pixel_statistics(self, split: str) -> PixelStatistics:
        """Mean and deviation over all pixels of a split, from exact sums.

        Raises:
            InputError: the split has no rows, or an older Halftone wrote some of them.
        """
        files = self.shards(split)
        where = f"the {split} split of the dataset made from {self.images}"
        if not files:
            raise InputError(f"{where} has no rows; preprocess more images, or change splits")
        if not all(file.sums for file in files):
            raise InputError(
                f"{where} has no pixel statistics (written by an older Halftone); run preprocess "
                "with a new --output, or use train.normalise 0..1"
            )
        pixels = sum(file.rows for file in files) * self.pixels.height_px * self.pixels.width_px
        return pixel_statistics.statistics_from_sums(
            pixels, [(file.sums, file.square_sums) for file in files]
        )


def read_manifest(root: str) -> Manifest:
    """Read the manifest of the dataset at `root`.

    Raises:
        InputError: there is none, it is not one, it is of a newer schema version, or the dataset
            holds a `_common_metadata`, whose reading could run code.
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
            f"{root}/_common_metadata: Petastorm would unpickle it, which can run code; Halftone "
            "writes no such file. Remove it"
        )
    try:
        # JSON mode, as the settings inside are strict: a list there is a tuple here.
        return Manifest.model_validate_json(json.dumps({"schema_version": version, **raw}))
    except ValidationError as error:
        keys = ", ".join(".".join(map(str, item["loc"])) for item in error.errors())
        raise InputError(f"{url}: not a manifest: wrong or missing {keys}") from None


def publish_manifest(root: str, manifest: Manifest) -> None:
    """Make `manifest` the dataset's: from this moment on readers see the files that it names."""
    raw: dict[str, Any] = manifest.model_dump(mode="json")
    document = {"schema": raw.pop("schema_version"), **raw}
    storage.write_json(storage.join(root, VERSIONS, _version_name(manifest.version)), document)
    storage.write_json(storage.join(root, MANIFEST_NAME), document)


def remove_unreferenced_files(root: str, manifest: Manifest) -> None:
    """Remove what no reader will open: files of neither this version nor the one before it.

    Who has read the manifest before this version was published goes on undisturbed.
    """
    names = [_version_name(manifest.version - 1), _version_name(manifest.version)]
    versions = storage.join(root, VERSIONS)
    named: set[str] = set()
    for name in storage.list_names(versions):
        if name in names:
            raw = storage.read_json(storage.join(versions, name))
            named.update(file["path"] for file in raw["files"])
            named.add(raw["contact_sheet"])
            for side in (REJECTS, DUPLICATES, NEAR_DUPLICATES):
                named.update(raw[f"{side}_files"])
        else:
            storage.remove(storage.join(versions, name))
    for folder in (*SPLITS, REJECTS, DUPLICATES, NEAR_DUPLICATES, CONTACT_SHEETS):
        for name in storage.list_names(storage.join(root, folder)):
            if f"{folder}/{name}" not in named:
                storage.remove(storage.join(root, folder, name))


def _version_name(version: int) -> str:
    return f"{version:06d}.json"
