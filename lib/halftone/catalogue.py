"""The listing of raw images, with label, split and place: all that is known before decoding."""

from __future__ import annotations

import re
from collections import Counter
from collections import Counter as CounterOf
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
import pyarrow as pa

from halftone import splits, storage
from halftone.config import Config
from halftone.config import Splits as SplitsConfig
from halftone.errors import InputError
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


def build(root: str, config: Config, needs_classes: bool = True) -> Catalogue:
    """List the images below `root` and give each its label, split and place.

    Args:
        needs_classes: whether one class alone is an error, as it is for a new dataset.

    Raises:
        InputError: no folder at `root`, no images in it, fewer than two classes, or a path that
            names no split where `splits.from_path` says that it must.
    """
    images, ignored = _images(root, config.preprocess.suffixes)
    label_from = re.compile(config.preprocess.label_from)
    usable: list[FileInfo] = []
    labels: list[str] = []
    unusable: list[Unusable] = []
    for image in images:
        shown = image.path.encode("utf-8", "backslashreplace").decode()
        label = splits.captured(label_from, image.path)
        if shown != image.path:
            detail = "its name is not UTF-8 text; rename it"
            unusable.append(Unusable(shown, "unreadable", detail, *image[1:]))
        elif not label:
            detail = f"preprocess.label_from {label_from.pattern!r} finds no label in the path"
            unusable.append(Unusable(shown, "unlabelled", detail, *image[1:]))
        else:
            usable.append(image)
            labels.append(label)
    if needs_classes:
        _check_classes(root, len(images), labels)
    return Catalogue(root, _in_order(usable, labels, config), unusable, ignored)


def _images(root: str, suffixes: Sequence[str]) -> tuple[list[FileInfo], dict[str, int]]:
    try:
        files = storage.list_files(root)
    except FileNotFoundError:
        raise InputError(f"{root}: no such folder; check paths.images or --input") from None
    except NotADirectoryError:
        raise InputError(f"{root}: is a file; paths.images must be a folder of images") from None
    wanted = {suffix.lower().lstrip(".") for suffix in suffixes}
    images: list[FileInfo] = []
    ignored: CounterOf[str] = Counter()
    for file in files:
        name = file.path.rpartition("/")[2]
        suffix = name.rpartition(".")[2] if "." in name else ""
        if suffix.lower() in wanted:
            images.append(file)
        else:
            ignored[f".{suffix}" if suffix else "no ending"] += 1
    if not images:
        raise InputError(
            f"{root}: no images among {len(files)} files; looked, at any depth, for files that "
            f"end in {', '.join(sorted(wanted))} (preprocess.suffixes)"
        )
    return images, dict(ignored)


def _check_classes(root: str, num_images: int, labels: Sequence[str]) -> None:
    classes = sorted(set(labels))
    if len(classes) >= 2:
        return
    found = f"all have the label {classes[0]!r}" if classes else "none has a label"
    raise InputError(
        f"{root}: {num_images} images, {found}; a classifier needs 2 classes or more. Put each "
        "class into a folder of its own, or say with preprocess.label_from where a path names it"
    )


def _in_order(images: Sequence[FileInfo], labels: Sequence[str], config: Config) -> pa.Table:
    names = _split_names([image.path for image in images], config.splits, config.seed)
    split = np.array([splits.SPLITS.index(name) for name in names], dtype=np.int8)
    place = np.array(
        [splits.order(image.path, config.seed, "order") for image in images], dtype=np.uint64
    )
    table = pa.table(
        [
            [image.path for image in images],
            list(labels),
            split,
            [image.size_bytes for image in images],
            [image.modified for image in images],
        ],
        schema=ENTRIES,
    )
    return table.take(np.lexsort((place, split)))


def _split_names(paths: Sequence[str], settings: SplitsConfig, seed: int) -> list[str]:
    """Give each path its split. A split that the data brings is kept."""
    group_by = re.compile(settings.group_by) if settings.group_by else None
    groups = [(splits.captured(group_by, path) if group_by else None) or path for path in paths]
    if settings.from_path is None:
        return [_made_name(group, settings, seed, settings.test_fraction) for group in groups]
    from_path = re.compile(settings.from_path)
    names = [_brought_name(path, from_path) for path in paths]
    if splits.VALIDATION in names:
        return names
    # The data brings no validation split: a part of its train becomes one.
    return [
        _made_name(group, settings, seed, 0.0) if name == splits.TRAIN else name
        for name, group in zip(names, groups)
    ]


def _made_name(group: str, settings: SplitsConfig, seed: int, test_fraction: float) -> str:
    if settings.folds is None:
        return splits.hashed(group, seed, settings.validation_fraction, test_fraction)
    if splits.hashed(group, seed, 0.0, test_fraction) == splits.TEST:
        return splits.TEST
    return splits.folded(group, seed, settings.fold, settings.folds)


def _brought_name(path: str, from_path: re.Pattern[str]) -> str:
    captured = splits.captured(from_path, path)
    name = splits.brought(captured) if captured else None
    if name is None:
        found = f"finds {captured!r}" if captured else "finds nothing"
        raise InputError(
            f"{path}: splits.from_path {from_path.pattern!r} {found} where the path must name "
            "train, validation or test (or val, valid, dev, training, testing)"
        )
    return name
