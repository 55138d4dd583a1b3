"""The listing of raw images, with label, split and place: all that is known before decoding."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import NamedTuple, Optional

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from halftone import arrow, storage
from halftone.config import Config
from halftone.config import SplitSettings as SplitsConfig
from halftone.dataset import splits
from halftone.errors import InputError
from halftone.preprocess import listing
from halftone.preprocess.listing import Listing

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


class UnusableImage(NamedTuple):
    """A listed image that is rejected before it is read."""

    path: str
    reason: str
    detail: str
    size_bytes: int
    modified: float


class Catalogue(NamedTuple):
    root: str
    entries: pa.Table  # ENTRIES, by split and, within it, in the dataset's order
    unusable_images: list[UnusableImage]
    ignored: dict[str, int]  # number of files by an ending that is not an image's

    @property
    def inputs(self) -> int:
        return int(self.entries.num_rows) + len(self.unusable_images)

    def keys(self) -> pa.ChunkedArray:
        """The key of each entry."""
        return arrow.chunked_string_array(
            storage.join(self.root, path) for (path,) in arrow.iter_rows(self.entries, "path")
        )

    def unusable_keys(self) -> pa.ChunkedArray:
        return arrow.chunked_string_array(
            storage.join(self.root, image.path) for image in self.unusable_images
        )


def build_catalogue(root: str, config: Config, require_classes: bool = True) -> Catalogue:
    """List the images below `root` and give each its label, split and place.

    Args:
        needs_classes: whether one class alone is an error, as it is for a new dataset.

    Raises:
        InputError: no folder at `root`, no images in it, fewer than two classes, or a path that
            names no split where `splits.from_path` says that it must.
    """
    listed = listing.list_images(root, config.preprocess.catalogue, config.preprocess.suffixes)
    files = add_labels(listed, config.preprocess.label_from)
    is_labelled = _has_text(files["label"])
    unusable = [*_reject_non_utf8_names(listed), *_reject_unlabelled(listed, ~is_labelled, config)]
    files = arrow.filter_rows(files, is_labelled)
    if require_classes:
        _check_classes(root, len(is_labelled) + len(listed.non_utf8_files), files["label"])
    return Catalogue(root, _build_entries(files, config), unusable, listed.ignored)


def _has_text(text: pa.ChunkedArray) -> npt.NDArray[np.bool_]:
    return np.asarray(arrow.to_numpy(pc.binary_length(text)) > 0)


def add_labels(image_listing: Listing, label_from: str) -> pa.Table:
    """Return listing.FILES with labels: those that were listed or, without them, of the paths.

    Where a path names none it is an empty text.
    """
    files = image_listing.files
    if image_listing.has_labels:
        return files
    pattern = re.compile(label_from)
    paths = (path for (path,) in arrow.iter_rows(files, "path"))
    found = arrow.chunked_string_array(
        splits.capture_from_path(pattern, path) or "" for path in paths
    )
    return files.set_column(files.schema.get_field_index("label"), "label", found)


def _reject_non_utf8_names(listed: Listing) -> Iterator[UnusableImage]:
    for image in listed.non_utf8_files:
        shown = image.path.encode("utf-8", "backslashreplace").decode()
        yield UnusableImage(
            shown, "unreadable", "its name is not UTF-8 text; rename it", *image[1:]
        )


def _reject_unlabelled(
    listed: Listing, mask: npt.NDArray[np.bool_], config: Config
) -> Iterator[UnusableImage]:
    detail = f"preprocess.label_from {config.preprocess.label_from!r} finds no label in the path"
    if listed.has_labels:
        detail = "preprocess.catalogue gives it no label"
    names = ("path", "size_bytes", "modified")
    for path, size, modified in arrow.iter_rows(arrow.filter_rows(listed.files, mask), *names):
        yield UnusableImage(path, "unlabelled", detail, size, modified)


def _check_classes(root: str, num_images: int, labels: pa.ChunkedArray) -> None:
    classes = sorted(pc.unique(labels).to_pylist())
    if len(classes) >= 2:
        return
    found = f"all have the label {classes[0]!r}" if classes else "none has a label"
    raise InputError(
        f"{root}: {num_images} images, {found}; a classifier needs 2 classes or more. Put each "
        "class into a folder of its own, or say with preprocess.label_from where a path names it"
    )


def _build_entries(files: pa.Table, config: Config) -> pa.Table:
    """Return ENTRIES."""
    sides = _assign_splits(files, config.splits, config.seed)
    paths = (path for (path,) in arrow.iter_rows(files, "path"))
    orders = (splits.hash_to_uint64(path, config.seed, "order") for path in paths)
    place = np.fromiter(orders, np.uint64, files.num_rows)
    known = {name: files[name] for name in ENTRIES.names}
    known["split"] = arrow.number_array(sides, pa.int8())  # for the name that a table gave
    entries = pa.table(list(known.values()), schema=ENTRIES)
    return arrow.take_rows(entries, np.lexsort((place, sides)))


_TRAIN, _VALIDATION = splits.SPLITS.index(splits.TRAIN), splits.SPLITS.index(splits.VALIDATION)
_NO_SPLIT = -1


def _assign_splits(files: pa.Table, settings: SplitsConfig, seed: int) -> npt.NDArray[np.int8]:
    """Give each image its split, as an index in SPLITS. A split that the data brings is kept."""
    brought = np.fromiter(_predefined_splits(files, settings), np.int8, files.num_rows)
    if _VALIDATION in brought:
        return np.where(brought == _NO_SPLIT, np.int8(_TRAIN), brought)
    # The data brings no validation split: a part of its train becomes one.
    test_fraction = {_NO_SPLIT: settings.test_fraction, _TRAIN: 0.0}
    made = (
        _choose_split(group, settings, seed, test_fraction[side]) if side in test_fraction else side
        for side, group in zip(map(int, brought), _split_groups(files, settings))
    )
    return np.fromiter(made, np.int8, files.num_rows)


def _predefined_splits(files: pa.Table, settings: SplitsConfig) -> Iterator[int]:
    """The split that the data brings for each image: by a table, by its path, or by none."""
    if _has_text(files["split"]).any():
        for path, name in arrow.iter_rows(files, "path", "split"):
            yield _parse_split(path, name, "its split")
    elif settings.from_path is not None:
        from_path = re.compile(settings.from_path)
        asked = f"what splits.from_path {from_path.pattern!r} finds"
        for (path,) in arrow.iter_rows(files, "path"):
            yield _parse_split(path, splits.capture_from_path(from_path, path), asked)
    else:
        yield from [_NO_SPLIT] * files.num_rows


def _parse_split(path: str, found: Optional[str], asked: str) -> int:
    name = splits.parse_split_name(found) if found else None
    if name is None:
        what = f"is {found!r}" if found else "is missing"
        raise InputError(
            f"{path}: {asked} {what} where there must be train, validation or test (or val, "
            "valid, dev, training, testing)"
        )
    return splits.SPLITS.index(name)


def _split_groups(files: pa.Table, settings: SplitsConfig) -> Iterator[str]:
    """What must stay on one side of a split: as a table says, or the config, or each for itself."""
    group_by = re.compile(settings.group_by) if settings.group_by else None
    for path, group in arrow.iter_rows(files, "path", "group"):
        yield group or (splits.capture_from_path(group_by, path) if group_by else None) or path


def _choose_split(group: str, settings: SplitsConfig, seed: int, test_fraction: float) -> int:
    if settings.folds is None:
        name = splits.split_by_hash(group, seed, settings.validation_fraction, test_fraction)
    elif splits.split_by_hash(group, seed, 0.0, test_fraction) == splits.TEST:
        name = splits.TEST
    else:
        name = splits.split_by_fold(group, seed, settings.fold, settings.folds)
    return splits.SPLITS.index(name)
