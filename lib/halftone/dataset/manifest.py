"""The manifest of a dataset: a JSON file, written last, that names every other file."""

from __future__ import annotations

import json
import os
import re
from collections.abc import Mapping, Sequence
from typing import Any, Optional

import pyarrow as pa
from pydantic import BaseModel, ConfigDict, ValidationError

from halftone import delta_log, storage
from halftone.config import CardSettings, PixelSpec, PreprocessSettings, SplitSettings
from halftone.dataset import pixel_statistics, shard_files
from halftone.dataset.pixel_statistics import PixelStatistics
from halftone.dataset.plain_reads import GUARD, allow_plain_reads, refuse_plain_reads
from halftone.dataset.shard_files import ShardFile, SplitTotals
from halftone.dataset.splits import SPLITS
from halftone.errors import InputError
from halftone.url_schemes import TABLE_PREFIX

MANIFEST_NAME = "manifest.json"
CONTACT_SHEETS = "contact_sheets"
# Folder of the manifests of all versions whose files exist. Spark ignores names with a leading
# underscore.
VERSIONS = "_versions"
REJECTS, DUPLICATES, NEAR_DUPLICATES = "rejects", "duplicates", "near_duplicates"
_TABLES = (*SPLITS, REJECTS, DUPLICATES, NEAR_DUPLICATES)  # the folders that are tables
_TABLE_NAME = re.compile(r"[A-Za-z_]\w*(\.[A-Za-z_]\w*){1,2}")  # main.faces.all
# A manifest with more shards has them in a Parquet file: a reader of one split need not parse all.
MAX_LISTED_FILES = 2000
# The schema version of a manifest that lists its shards is schema.SCHEMA_VERSION, which an older
# Halftone reads. It must refuse a manifest without the list.
_TABLE_SCHEMA_VERSION = 2


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
    # The shards, in the order of their rows; None if `files_table` has them.
    files: Optional[list[ShardFile]] = None
    files_table: Optional[str] = None  # path of a Parquet file of shard_files.SHARD_FILES
    files_totals: Optional[dict[str, SplitTotals]] = None  # by split, with `files_table`
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
    # The salt of each class that is stratified, see splits.split_by_salt. A class keeps it, and one
    # without a salt stays without.
    split_salts: dict[str, int] = {}
    # Of the table preprocess.catalogue: those of the columns label, group and split that decide;
    # None: not known. And the columns that have no meaning.
    used_columns: Optional[list[str]] = None
    unknown_columns: list[str] = []
    conflict_labels: str = ""  # digest of the labels of images that are rejected as conflicts
    images_digest: str = ""  # of the listing that the version has all images of, if it is known
    listed: str = ""  # when the folder of images was last listed, UTC; not by --changes
    archived: int = 0  # images in archives
    card: CardSettings = CardSettings()  # texts for the data card
    images_description: str = ""  # that of a folder of drawn images, see halftone.sample

    def shape(self) -> tuple[int, int, int]:
        """Height, width and channels of every image."""
        return self.pixels.shape

    def empty_labels(self) -> list[str]:
        """Return the labels that have no row in any split."""
        by_split = self.counts.values()
        return [label for label in self.labels if not any(counts[label] for counts in by_split)]

    def totals(self, split: str) -> SplitTotals:
        """Return the sums of the shards of a split; zeros if it has none."""
        if self.files_totals is not None:
            return self.files_totals.get(split, shard_files.add_up([]))
        return shard_files.add_up([file for file in self.files or () if file.split == split])

    def num_shards(self) -> int:
        return sum(self.totals(split).shards for split in SPLITS)

    def size_bytes(self) -> int:
        """Return the size of all shards."""
        return sum(self.totals(split).size_bytes for split in SPLITS)

    def pixel_statistics(self, split: str) -> PixelStatistics:
        """Return mean and standard deviation of all pixels of a split, from exact sums.

        Raises:
            InputError: the split has no rows, or an older Halftone wrote some of its shards.
        """
        totals = self.totals(split)
        subject = f"the {split} split of the dataset made from {self.images}"
        if not totals.shards:
            raise InputError(f"{subject} has no rows; preprocess more images, or change splits")
        if not totals.sums:
            raise InputError(
                f"{subject} has no pixel statistics (written by an older Halftone); run preprocess "
                "with a new --output, or use train.normalise 0..1 and train.augment.cutout_px 0"
            )
        num_pixels = totals.rows * self.pixels.height_px * self.pixels.width_px
        return pixel_statistics.statistics_from_sums(
            num_pixels, [(totals.sums, totals.square_sums)]
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
    except (FileNotFoundError, NotADirectoryError):
        raise InputError(describe_missing(root)) from None
    except InputError:  # which is a ValueError
        raise
    except ValueError as error:
        raise InputError(f"{url}: not a manifest: {error}") from None
    version = raw.pop("schema", None) if isinstance(raw, dict) else None
    if not isinstance(version, int):
        raise InputError(f"{url}: not a manifest: it has no schema version")
    if version > _TABLE_SCHEMA_VERSION:
        raise InputError(
            f"{url}: schema version {version} is newer than {_TABLE_SCHEMA_VERSION}, the newest "
            "that this Halftone reads; upgrade Halftone, or run preprocess again into another "
            "folder"
        )
    if storage.exists(storage.join(root, "_common_metadata")):
        raise InputError(
            f"{root}/_common_metadata: Petastorm would unpickle this file, which can run code; "
            "Halftone never writes it. Remove it"
        )
    try:
        # The settings are strict models: only JSON mode converts a list to a tuple.
        manifest = Manifest.model_validate_json(json.dumps({"schema_version": version, **raw}))
    except ValidationError as error:
        keys = ", ".join(".".join(map(str, item["loc"])) for item in error.errors())
        raise InputError(f"{url}: not a manifest: wrong or missing {keys}") from None
    if manifest.files is None and (manifest.files_table is None or manifest.files_totals is None):
        raise InputError(f"{url}: not a manifest: wrong or missing files")
    return manifest


def describe_missing(root: str, catalogue: Optional[str] = None) -> str:
    """Return why there is no dataset at `root`, which has no manifest, and what to do.

    Args:
        root: the canonical URL of a folder.
        catalogue: if `root` is another Delta table, the value of preprocess.catalogue that names
            it; default: `root`.
    """
    folder, _, name = root.rpartition("/")
    if name == MANIFEST_NAME:
        return f"{root}: is a file of a dataset; give its folder, {folder}"
    if storage.is_local(root) and storage.file_size(root) is not None:
        return f"{root}: is a file; a dataset is the folder that jobs/preprocess.py has written"
    if name in _TABLES and storage.exists(storage.join(folder, MANIFEST_NAME)):
        return f"{root}: is the table {name} of a dataset; give the folder of the dataset, {folder}"
    if delta_log.has_log(root):
        return (
            f"{root}: is a Delta table and no dataset of Halftone (no {MANIFEST_NAME}); make a "
            "dataset of the images that its rows list, with preprocess.catalogue: "
            f"{catalogue or root}"
        )
    hint = ""
    if folder == os.getcwd() and _TABLE_NAME.fullmatch(name) and not storage.exists(root):
        hint = f"; if {name} is a table that Spark knows, write {TABLE_PREFIX}{name}"
    return (
        f"{root}: no dataset here (no {MANIFEST_NAME}); run jobs/preprocess.py, or check "
        f"paths.dataset or --dataset{hint}"
    )


def read_shards(root: str, manifest: Manifest, split: Optional[str] = None) -> list[ShardFile]:
    """Return the shards of a split, or of all splits, in the order of their rows.

    Raises:
        InputError: the table of the shards is missing or damaged.
    """
    if manifest.files_table is None:
        return [file for file in manifest.files or () if split in (None, file.split)]
    url = storage.join(root, manifest.files_table)
    try:
        return shard_files.read_files(url, split)
    except (FileNotFoundError, pa.ArrowInvalid):
        raise InputError(
            f"{url} is missing or damaged; restore it from a backup, or remove the dataset and run "
            "jobs/preprocess.py again"
        ) from None


def publish_manifest(root: str, manifest: Manifest) -> Manifest:
    """Write `manifest` as the current one: readers now see the files that it names.

    Returns:
        The manifest that readers read. It names a table if there are many shards.
    """
    if manifest.files is not None and len(manifest.files) > MAX_LISTED_FILES:
        manifest = _write_files_table(root, manifest, manifest.files)
    raw: dict[str, Any] = manifest.model_dump(mode="json")
    document = {"schema": raw.pop("schema_version"), **raw}
    absent = ("files",) if manifest.files is None else ("files_table", "files_totals")
    document = {key: value for key, value in document.items() if key not in absent}
    storage.write_json(storage.join(root, VERSIONS, _version_name(manifest.version)), document)
    storage.write_json(storage.join(root, MANIFEST_NAME), document)
    return manifest


def _write_files_table(root: str, manifest: Manifest, files: list[ShardFile]) -> Manifest:
    path = f"{VERSIONS}/{manifest.version:06d}-files.parquet"
    shard_files.write_files(storage.join(root, path), files)
    table_fields = {
        "schema_version": _TABLE_SCHEMA_VERSION,
        "files": None,
        "files_table": path,
        "files_totals": {split: manifest.totals(split) for split in SPLITS},
    }
    return manifest.model_copy(update=table_fields)


def remove_unreferenced_files(root: str, manifest: Manifest) -> None:
    """Remove the files that belong to neither this version nor the previous one.

    Readers that read the manifest just before this version was published are not disturbed. Reads
    of all files of a folder are refused while it has files of the previous version only.
    """
    versions = storage.join(root, VERSIONS)
    names = storage.list_names(versions)
    newest = _version_name(manifest.version)
    kept = {_version_name(manifest.version - 1), newest}.intersection(names)
    documents = {name: storage.read_json(storage.join(versions, name)) for name in kept}
    tables = {document.get("files_table") for document in documents.values()}
    for name in names:
        if name not in kept and f"{VERSIONS}/{name}" not in tables:
            storage.remove(storage.join(versions, name))
    for folder in (*_TABLES, CONTACT_SHEETS):
        # The names of one folder at a time, as a dataset may have a million shards.
        referenced = {name: _list_files(root, documents[name], folder) for name in kept}
        _clean_folder(root, folder, referenced, newest)


def _clean_folder(
    root: str, folder: str, referenced: Mapping[str, Sequence[str]], newest: str
) -> None:
    """Remove the files of a folder that no version names.

    Args:
        referenced: the paths of the files by version.
        newest: the newest version.
    """
    kept = {path for paths in referenced.values() for path in paths}
    older = kept.difference(referenced.get(newest, ()))
    names = storage.list_names(storage.join(root, folder))
    has_older = folder != CONTACT_SHEETS and any(f"{folder}/{name}" in older for name in names)
    if has_older and GUARD not in names:
        refuse_plain_reads(root, [folder])
    for name in names:
        if name not in (delta_log.LOG_FOLDER, GUARD) and f"{folder}/{name}" not in kept:
            storage.remove(storage.join(root, folder, name))
    if not has_older and GUARD in names:
        allow_plain_reads(root, folder)


def _list_files(root: str, document: dict[str, Any], folder: str) -> list[str]:
    """Return the paths of the files in a folder that a manifest names, as JSON."""
    if folder in (REJECTS, DUPLICATES, NEAR_DUPLICATES):
        return list(document[f"{folder}_files"])
    if folder == CONTACT_SHEETS:
        return [document["contact_sheet"]]
    if "files_table" in document:
        return shard_files.read_paths(storage.join(root, document["files_table"]), folder)
    return [file["path"] for file in document["files"] if file["split"] == folder]


def _version_name(version: int) -> str:
    return f"{version:06d}.json"
