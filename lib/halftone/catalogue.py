"""The listing of raw images, with label, split and place: all that is known before decoding."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import NamedTuple, Optional

import numpy as np
import pyarrow as pa

from halftone import columns, listing, splits, storage
from halftone.config import Config
from halftone.config import Splits as SplitsConfig
from halftone.errors import InputError
from halftone.listing import Listing
from halftone.storage import FileInfo

# What a block of work knows of its images; `path` is the one below the images' folder.
ENTRIES = pa.schema(
    [
        pa.field("path", pa.string()),
        pa.field("label", pa.string()),
        pa.field("split", pa.int8()),  # index in splits.SPLITS
        pa.field("size_bytes", pa.int64()),
        pa.field("modified", pa.float64()),
    ]
)


class Unusable(NamedTuple):
    """A listed image that is rejected before it is read."""

    path: str
    reason: str
    detail: str
    size_bytes: int
    modified: float


class Catalogue(NamedTuple):
    root: str
    entries: pa.Table  # ENTRIES, by split and, within it, in the dataset's order
    unusable: list[Unusable]
    ignored: dict[str, int]  # number of files by an ending that is not an image's

    @property
    def inputs(self) -> int:
        return int(self.entries.num_rows) + len(self.unusable)

    @property
    def unusable_keys(self) -> set[str]:
        return {storage.join(self.root, image.path) for image in self.unusable}


def build(root: str, config: Config, needs_classes: bool = True) -> Catalogue:
    """List the images below `root` and give each its label, split and place.

    Args:
        needs_classes: whether one class alone is an error, as it is for a new dataset.

    Raises:
        InputError: no folder at `root`, no images in it, fewer than two classes, or a path that
            names no split where `splits.from_path` says that it must.
    """
    listed = _listed(root, config)
    nothing: list[Optional[str]] = [None] * len(listed.files)
    brought = zip(listed.labels or nothing, listed.groups or nothing, listed.splits or nothing)
    label_from = re.compile(config.preprocess.label_from)
    usable: list[_Usable] = []
    unusable: list[Unusable] = []
    for image, (label, group, split) in zip(listed.files, brought):
        shown = image.path.encode("utf-8", "backslashreplace").decode()
        label = splits.captured(label_from, image.path) if listed.labels is None else label
        if shown != image.path:
            detail = "its name is not UTF-8 text; rename it"
            unusable.append(Unusable(shown, "unreadable", detail, *image[1:]))
        elif not label:
            detail = f"preprocess.label_from {label_from.pattern!r} finds no label in the path"
            if listed.labels is not None:
                detail = "preprocess.catalogue gives it no label"
            unusable.append(Unusable(shown, "unlabelled", detail, *image[1:]))
        else:
            usable.append(_Usable(image, label, group, split))
    if needs_classes:
        _check_classes(root, len(listed.files), [image.label for image in usable])
    return Catalogue(root, _in_order(usable, config), unusable, listed.ignored)


class _Usable(NamedTuple):
    file: FileInfo
    label: str
    group: Optional[str]  # as a table says; None: by the config's pattern
    split: Optional[str]


def _listed(root: str, config: Config) -> Listing:
    table = config.preprocess.catalogue
    if table is None:
        return listing.of_folder(root, config.preprocess.suffixes)
    return listing.of_table(storage.normalise(table))


def _check_classes(root: str, num_images: int, labels: Sequence[str]) -> None:
    classes = sorted(set(labels))
    if len(classes) >= 2:
        return
    found = f"all have the label {classes[0]!r}" if classes else "none has a label"
    raise InputError(
        f"{root}: {num_images} images, {found}; a classifier needs 2 classes or more. Put each "
        "class into a folder of its own, or say with preprocess.label_from where a path names it"
    )


def _in_order(images: Sequence[_Usable], config: Config) -> pa.Table:
    names = _split_names(images, config.splits, config.seed)
    sides = [splits.SPLITS.index(name) for name in names]
    place = np.array(
        [splits.order(image.file.path, config.seed, "order") for image in images], dtype=np.uint64
    )
    table = pa.table(
        [
            columns.of_text([image.file.path for image in images]),
            columns.of_text([image.label for image in images]),
            columns.of_numbers(sides, pa.int8()),
            columns.of_numbers([image.file.size_bytes for image in images], pa.int64()),
            columns.of_numbers([image.file.modified for image in images], pa.float64()),
        ],
        schema=ENTRIES,
    )
    order = np.lexsort((place, np.array(sides)))
    return columns.take(table, order)


def _split_names(images: Sequence[_Usable], settings: SplitsConfig, seed: int) -> list[str]:
    """Give each image its split. A split that the data brings is kept."""
    group_by = re.compile(settings.group_by) if settings.group_by else None
    groups = [
        image.group or (splits.captured(group_by, path) if group_by else None) or path
        for image in images
        for path in [image.file.path]
    ]
    names = _brought_names(images, settings)
    if splits.VALIDATION in names:
        return [name or splits.TRAIN for name in names]
    # The data brings no validation split: a part of its train becomes one.
    return [
        _made_name(group, settings, seed, settings.test_fraction)
        if name is None
        else _made_name(group, settings, seed, 0.0)
        if name == splits.TRAIN
        else name
        for name, group in zip(names, groups)
    ]


def _brought_names(images: Sequence[_Usable], settings: SplitsConfig) -> list[Optional[str]]:
    """The split that the data brings for each image: by a table, by its path, or by none."""
    if any(image.split for image in images):
        return [_known_split(image.file.path, image.split, "its split") for image in images]
    if settings.from_path is None:
        return [None] * len(images)
    from_path = re.compile(settings.from_path)
    asked = f"what splits.from_path {from_path.pattern!r} finds"
    paths = [image.file.path for image in images]
    return [_known_split(path, splits.captured(from_path, path), asked) for path in paths]


def _made_name(group: str, settings: SplitsConfig, seed: int, test_fraction: float) -> str:
    if settings.folds is None:
        return splits.hashed(group, seed, settings.validation_fraction, test_fraction)
    if splits.hashed(group, seed, 0.0, test_fraction) == splits.TEST:
        return splits.TEST
    return splits.folded(group, seed, settings.fold, settings.folds)


def _known_split(path: str, found: Optional[str], asked: str) -> str:
    name = splits.brought(found) if found else None
    if name is None:
        what = f"is {found!r}" if found else "is missing"
        raise InputError(
            f"{path}: {asked} {what} where there must be train, validation or test (or val, "
            "valid, dev, training, testing)"
        )
    return name
