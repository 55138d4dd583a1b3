"""List the raw images and assign each a label, a split and a position in the dataset's order."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import NamedTuple, Optional

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from halftone import arrow, storage
from halftone.config import Config, SplitSettings
from halftone.dataset import schema, splits
from halftone.errors import InputError
from halftone.preprocess import listing
from halftone.preprocess.label_variants import describe_label_variants
from halftone.preprocess.listed_files import GROUP, Listing, UnusableImage

# The images to decode.
ENTRIES = pa.schema(
    [
        pa.field(schema.PATH, pa.string()),  # below the folder of images
        pa.field(schema.LABEL, pa.string()),
        pa.field(schema.SPLIT, pa.int8()),  # index in splits.SPLITS
        pa.field(schema.SIZE_BYTES, pa.int64()),
        pa.field(schema.MODIFIED, pa.float64()),
    ]
)


class Catalogue(NamedTuple):
    """All images below a folder."""

    root: str  # the folder
    entries: pa.Table  # ENTRIES, sorted by split and then by position
    unusable_images: list[UnusableImage]
    ignored: dict[str, int]  # number of files that are no images, by their ending or kind
    # Of the table that lists the images: which of its columns label, group and split decide, and
    # the names of its columns that have no meaning.
    used_columns: tuple[str, ...] = ()
    unknown_columns: tuple[str, ...] = ()
    num_ungrouped: int = 0  # images without a group, if images are grouped
    notes: tuple[str, ...] = ()  # what the user should know before the work begins

    @property
    def inputs(self) -> int:
        return int(self.entries.num_rows) + len(self.unusable_images)

    def keys(self) -> pa.ChunkedArray:
        """Return the key of each entry."""
        return arrow.chunked_string_array(
            storage.join(self.root, path) for (path,) in arrow.iter_rows(self.entries, schema.PATH)
        )

    def unusable_keys(self) -> pa.ChunkedArray:
        return arrow.chunked_string_array(
            storage.join(self.root, image.path) for image in self.unusable_images
        )


def build_catalogue(root: str, config: Config, require_classes: bool = True) -> Catalogue:
    """List the images below `root` and assign each a label, a split and a position.

    Args:
        require_classes: raise an error if there are fewer than two classes. A dataset that exists
            may be updated from a folder with one class.

    Raises:
        InputError: no folder at `root`, no images in it, fewer than two classes, or
            `splits.from_path` or `splits.group_by` is set and does not match a path.
    """
    image_listing = listing.list_images(
        root, config.preprocess.catalogue, config.preprocess.suffixes
    )
    files = add_labels(image_listing, config.preprocess.label_from)
    is_labelled = _is_not_empty(pc.utf8_trim_whitespace(files[schema.LABEL]))
    unusable = [
        *image_listing.unreadable,
        *_reject_unlabelled(image_listing, ~is_labelled, config),
    ]
    files = arrow.filter_rows(files, is_labelled)
    if require_classes:
        num_images = len(is_labelled) + len(image_listing.unreadable)
        _check_classes(root, num_images, files[schema.LABEL])
    split_ids, num_ungrouped = _assign_splits(root, files, config.splits, config.seed)
    labels = pc.unique(files[schema.LABEL]).to_pylist()
    return Catalogue(
        root,
        _build_entries(files, split_ids, config.seed),
        unusable,
        image_listing.ignored,
        used_columns=image_listing.used_columns,
        unknown_columns=image_listing.unknown_columns,
        num_ungrouped=num_ungrouped,
        notes=(*image_listing.notes, *describe_label_variants(labels)),
    )


def _is_not_empty(text: pa.ChunkedArray) -> npt.NDArray[np.bool_]:
    return np.asarray(arrow.to_numpy(pc.binary_length(text)) > 0)


def add_labels(image_listing: Listing, label_from: str) -> pa.Table:
    """Return listing.FILES with labels: the listed ones or, if there are none, from the paths.

    Args:
        label_from: regular expression whose one group captures the label. The label of a path
            that does not match is the empty string.
    """
    files = image_listing.files
    if image_listing.has_labels:
        return files
    pattern = re.compile(label_from)
    paths = (path for (path,) in arrow.iter_rows(files, schema.PATH))
    labels = arrow.chunked_string_array(
        splits.capture_from_path(pattern, path) or "" for path in paths
    )
    return files.set_column(files.schema.get_field_index(schema.LABEL), schema.LABEL, labels)


def _reject_unlabelled(
    image_listing: Listing, is_unlabelled: npt.NDArray[np.bool_], config: Config
) -> Iterator[UnusableImage]:
    detail = f"preprocess.label_from {config.preprocess.label_from!r} finds no label in the path"
    if image_listing.has_labels:
        detail = "preprocess.catalogue gives it no label"
    files = arrow.filter_rows(image_listing.files, is_unlabelled)
    names = (schema.PATH, schema.SIZE_BYTES, schema.MODIFIED)
    for path, size_bytes, modified in arrow.iter_rows(files, *names):
        yield UnusableImage(path, "unlabelled", detail, size_bytes, modified)


def _check_classes(root: str, num_images: int, labels: pa.ChunkedArray) -> None:
    classes = sorted(pc.unique(labels).to_pylist())
    if len(classes) >= 2:
        return
    labels_found = f"all have the label {classes[0]!r}" if classes else "none has a label"
    raise InputError(
        f"{root}: {num_images} images, {labels_found}; a classifier needs 2 classes or more. Put "
        "each class into its own folder, or set preprocess.label_from to find the label in the path"
    )


def _build_entries(files: pa.Table, split_ids: npt.NDArray[np.int8], seed: int) -> pa.Table:
    """Return ENTRIES, sorted by split and then by a hash of the path."""
    paths = (path for (path,) in arrow.iter_rows(files, schema.PATH))
    hashes = (splits.hash_to_uint64(path, seed, "order") for path in paths)
    positions = np.fromiter(hashes, np.uint64, files.num_rows)
    columns = {name: files[name] for name in ENTRIES.names}
    columns[schema.SPLIT] = arrow.number_array(split_ids, pa.int8())  # instead of the names
    entries = pa.table(list(columns.values()), schema=ENTRIES)
    return arrow.take_rows(entries, np.lexsort((positions, split_ids)))


_TRAIN, _VALIDATION = splits.SPLITS.index(splits.TRAIN), splits.SPLITS.index(splits.VALIDATION)
_NO_SPLIT = -1


def _assign_splits(
    root: str, files: pa.Table, settings: SplitSettings, seed: int
) -> tuple[npt.NDArray[np.int8], int]:
    """Return the split of each image as an index in SPLITS; predefined splits are kept.

    Returns also how many images have no group, if images are grouped: they are drawn alone.
    """
    predefined = np.fromiter(_predefined_splits(files, settings), np.int8, files.num_rows)
    if _VALIDATION in predefined:
        return np.where(predefined == _NO_SPLIT, np.int8(_TRAIN), predefined), 0
    # No validation split is predefined: it is drawn from the train split.
    test_fraction = {_NO_SPLIT: settings.test_fraction, _TRAIN: 0.0}
    groups = arrow.chunked_string_array(_iter_groups(files, settings.group_by))
    has_group = _is_not_empty(groups)
    is_alone = np.isin(predefined, list(test_fraction)) & ~has_group
    if settings.group_by and not settings.allow_ungrouped:
        _check_groups(root, files, is_alone, settings.group_by)
    grouped = pa.table({schema.PATH: files[schema.PATH], GROUP: groups})
    split_ids = (
        _choose_split(group or path, settings, seed, test_fraction[split_id])
        if split_id in test_fraction
        else split_id
        for split_id, (path, group) in zip(
            map(int, predefined),
            arrow.iter_rows(grouped, schema.PATH, GROUP),
        )
    )
    is_grouped = settings.group_by is not None or has_group.any()
    num_alone = int(is_alone.sum()) if is_grouped else 0
    return np.fromiter(split_ids, np.int8, files.num_rows), num_alone


def _check_groups(
    root: str, files: pa.Table, is_alone: npt.NDArray[np.bool_], group_by: str
) -> None:
    if not is_alone.any():
        return
    example = files[schema.PATH][int(np.flatnonzero(is_alone)[0])].as_py()
    raise InputError(
        f"{root}: splits.group_by {group_by!r} finds no group in {int(is_alone.sum()):,} of "
        f"{len(is_alone):,} paths, such as {example}; images of one group could get into two "
        "splits. Correct the pattern (case matters, unless it begins with (?i)), or set "
        "splits.allow_ungrouped to true if these images belong to no group"
    )


def _predefined_splits(files: pa.Table, settings: SplitSettings) -> Iterator[int]:
    """Yield the split of each image from the catalogue table or its path, else _NO_SPLIT."""
    if _is_not_empty(files[schema.SPLIT]).any():
        for path, name in arrow.iter_rows(files, schema.PATH, schema.SPLIT):
            yield _parse_split(path, name, "its split")
    elif settings.from_path is not None:
        pattern = re.compile(settings.from_path)
        source = f"the split that splits.from_path {pattern.pattern!r} finds"
        for (path,) in arrow.iter_rows(files, schema.PATH):
            yield _parse_split(path, splits.capture_from_path(pattern, path), source)
    else:
        yield from [_NO_SPLIT] * files.num_rows


def _parse_split(path: str, name: Optional[str], source: str) -> int:
    split = splits.parse_split_name(name) if name else None
    if split is None:
        value = repr(name) if name else "missing"
        raise InputError(
            f"{path}: {source} is {value}; it must be train, validation or test (or val, valid, "
            "dev, training, testing)"
        )
    return splits.SPLITS.index(split)


def _iter_groups(files: pa.Table, group_by: Optional[str]) -> Iterator[str]:
    """Yield the group of each image, or an empty string; a group goes to one split.

    The group comes from the catalogue table or else from `splits.group_by`.
    """
    pattern = re.compile(group_by) if group_by else None
    for path, group in arrow.iter_rows(files, schema.PATH, GROUP):
        in_path = splits.capture_from_path(pattern, path) if pattern else None
        yield group.strip() or in_path or ""


def _choose_split(group: str, settings: SplitSettings, seed: int, test_fraction: float) -> int:
    if settings.folds is None:
        name = splits.split_by_hash(group, seed, settings.validation_fraction, test_fraction)
    elif splits.split_by_hash(group, seed, 0.0, test_fraction) == splits.TEST:
        name = splits.TEST
    else:
        name = splits.split_by_fold(group, seed, settings.fold, settings.folds)
    return splits.SPLITS.index(name)
