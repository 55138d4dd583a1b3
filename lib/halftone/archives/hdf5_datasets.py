"""Which datasets of an HDF5 file are the images, their labels, and the names of classes.

Names are compared by their words: `train_set_x` and `train/x` are the `x` of the split `train`.
"""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Sequence
from math import prod
from typing import NamedTuple, Optional

from halftone.archives.hdf5_file import FILES, FLOAT, INT, OPAQUE, TEXT, UINT8, DatasetInfo
from halftone.archives.member import ArchiveError

_SPLITS = {"train", "training", "val", "valid", "validation", "test", "testing"}
_FILLERS = {"set", "split"}
_IMAGES = ("images", "image", "x", "imgs", "img", "pictures", "data")
_LABELS = (
    *(("label",), ("labels",), ("fine", "label"), ("fine", "labels"), ("y",)),
    *(("target",), ("targets",), ("class",), ("classes",)),
)
_CLASS_NAMES = (
    *(("class", "names"), ("label", "names"), ("list", "classes")),
    *(("classes",), ("categories",)),
)
_SHAPES = (
    "images are uint8 of (n, height, width) or (n, height, width, 1 or 3), or n image files, each "
    "uint8 of varying length"
)
_SHOWN = 8


class _Name(NamedTuple):
    words: tuple[str, ...]
    split: str


class Images(NamedTuple):
    """A dataset of images, a row each."""

    info: DatasetInfo
    split: str  # "" if its name tells none


def find_images(url: str, infos: Sequence[DatasetInfo]) -> list[Images]:
    """Return the datasets of images: one, or one for each split.

    Raises:
        ArchiveError: there is none, or it is not clear which one it is.
    """
    by_words: defaultdict[tuple[str, ...], list[Images]] = defaultdict(list)
    for info in infos:
        if _may_be_images(info):
            name = _parse_name(info.name)
            by_words[name.words].append(Images(info, name.split))
    if not by_words:
        raise ArchiveError(
            f"{url}: no dataset has images ({_show(infos)}); {_SHAPES}. Write it so, move the "
            "file elsewhere, or set preprocess.archives: ignore"
        )
    found = _choose(list(by_words.values()), list(by_words))
    if len({images.split for images in found}) < max(1, len(found)):
        candidates = [images.info for some in by_words.values() for images in some]
        raise ArchiveError(
            f"{url}: has several datasets that may be the images ({_show(candidates)}); name one "
            f"of them {_IMAGES[0]} (h5py: file.move), or set preprocess.archives: ignore"
        )
    for images in found:
        _check_shape(url, images.info)
    return found


def _choose(groups: list[list[Images]], words: list[tuple[str, ...]]) -> list[Images]:
    """Return the only group, or the one whose name is the best; [] if there are several."""
    if len(groups) == 1:
        return groups[0]
    for word in _IMAGES:
        named = [group for group, name in zip(groups, words) if name[-1:] == (word,)]
        if named:
            return named[0] if len(named) == 1 else []
    return []


def _may_be_images(info: DatasetInfo) -> bool:
    if info.kind in (FILES, OPAQUE):
        return len(info.shape) == 1
    is_array = info.kind in (UINT8, INT, FLOAT) and len(info.shape) in (3, 4)
    return is_array and prod(info.shape[1:]) > 1


def _check_shape(url: str, info: DatasetInfo) -> None:
    if info.kind in (FILES, OPAQUE):
        return
    if info.kind != UINT8:
        raise ArchiveError(f"{url}: {info} cannot be read as images; write them as uint8, 0 to 255")
    if len(info.shape) == 3 and info.shape[2] in (1, 3):
        raise ArchiveError(
            f"{url}: {info} may be one image, or {info.shape[0]:,} without channels; write it with "
            "four dimensions (n, height, width, channels)"
        )
    if len(info.shape) == 4 and info.shape[3] not in (1, 3):
        raise ArchiveError(
            f"{url}: {info} has {info.shape[3]} channels, and 1 or 3 are read; the channels are "
            "the last dimension"
        )


def has_images_only(infos: Sequence[DatasetInfo]) -> bool:
    """Return whether each dataset may be one image, in a group: pixels, or an image file."""
    return bool(infos) and all("/" in info.name and _may_be_one_image(info) for info in infos)


def _may_be_one_image(info: DatasetInfo) -> bool:
    if info.kind == OPAQUE:
        return not info.shape
    num_axes = len(info.shape)
    return info.kind == UINT8 and (
        num_axes in (1, 2) or (num_axes == 3 and info.shape[2] in (1, 3))
    )


def find_labels(
    url: str, images: Images, infos: Sequence[DatasetInfo], is_beside: bool = False
) -> Optional[DatasetInfo]:
    """Return the dataset with the label of each image; None if there is none.

    Args:
        is_beside: the datasets are those of a file that has only labels.

    Raises:
        ArchiveError: it has another length, or values that are no labels.
    """
    name = _parse_name(images.info.name)
    for suffix in _LABELS:
        wanted = _Name(name.words[:-1] + suffix, name.split)
        for info in infos:
            if info != images.info and _parse_name(info.name) == wanted:
                return _check_labels(url, images.info, info)
    if is_beside:
        raise ArchiveError(f"{url}: has no dataset of labels ({_show(infos)}); name it y")
    return None


def _check_labels(url: str, images: DatasetInfo, labels: DatasetInfo) -> DatasetInfo:
    if not labels.shape or labels.shape[0] != images.shape[0]:
        raise ArchiveError(
            f"{url}: {labels} has not one label for each of the {images.shape[0]:,} images in "
            f"{images.name}; write as many, or rename it"
        )
    if prod(labels.shape[1:]) != 1:
        raise ArchiveError(
            f"{url}: {labels} has {prod(labels.shape[1:]):,} values for each image; write the "
            "number or the name of its class, one for each"
        )
    if labels.kind not in (UINT8, INT, TEXT, OPAQUE):
        raise ArchiveError(f"{url}: {labels} must be whole numbers or texts to be labels")
    return labels


def find_class_names(
    images: Images, labels: DatasetInfo, infos: Sequence[DatasetInfo]
) -> Optional[DatasetInfo]:
    """Return the dataset with the names of classes, by their numbers; None if there is none."""
    if labels.kind not in (UINT8, INT):
        return None
    prefix = _parse_name(images.info.name).words[:-1]
    for info in infos:
        words = _parse_name(info.name).words
        is_named = any(words in (suffix, prefix + suffix) for suffix in _CLASS_NAMES)
        if is_named and info.kind in (TEXT, OPAQUE) and len(info.shape) == 1:
            return info
    return None


def _parse_name(name: str) -> _Name:
    words = re.findall(r"[^\W_]+", name.lower())
    split = next((word for word in words if word in _SPLITS), "")
    others = tuple(word for word in words if word not in _SPLITS | _FILLERS)
    return _Name(others, split)


def _show(infos: Sequence[DatasetInfo]) -> str:
    more = f" and {len(infos) - _SHOWN:,} more" if len(infos) > _SHOWN else ""
    return (", ".join(map(str, infos[:_SHOWN])) or "nothing") + more
