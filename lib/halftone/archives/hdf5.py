"""HDF5 files: datasets with an image in each row, or a dataset for each image.

Values that are one piece of the file are read as such; others by h5py, from chunks and heaps that
are held in memory before.
"""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Iterator, Sequence
from itertools import groupby, repeat
from math import prod
from typing import Any, NamedTuple, Optional, Union

import numpy as np
import numpy.typing as npt

from halftone import storage
from halftone.archives.hdf5_datasets import (
    Images,
    find_class_names,
    find_images,
    find_labels,
    has_images_only,
)
from halftone.archives.hdf5_file import (
    DAMAGE,
    FILES,
    OPAQUE,
    TEXT,
    DatasetInfo,
    Hdf5Dataset,
    Hdf5File,
)
from halftone.archives.member import ArchiveError, ArchiveFile, Member, MemberData
from halftone.archives.raw_pixels import image_file_bytes, to_image_file
from halftone.archives.signatures import NEEDED_BYTES, begins_as_image_file
from halftone.storage import Piece
from halftone.storage.ranges import CHANGED

HAS_FILES = False
# Words of places: a piece of the file, or a row of a dataset.
_PIECE, _ROW = "piece", "row"
_ONE_IMAGE = -1  # as a row: all of the dataset
_LISTED_ROWS = 16  # image files whose sizes are read at once
_UNWRITTEN = "the dataset has a row for it, whose values were never written"


def list_members(archive: ArchiveFile) -> Iterator[Member]:
    try:
        with Hdf5File(*archive) as file:
            yield from _list_file(file)
    except (ArchiveError, FileNotFoundError):
        raise
    except (OSError, *DAMAGE) as error:
        raise ArchiveError(
            f"{archive.url}: is no complete HDF5 file, or cannot be read: {error}; copy it again, "
            "or rename it if it is something else"
        ) from error


def _list_file(file: Hdf5File) -> Iterator[Member]:
    infos = [_tell_texts(file, info) for info in file.list_datasets()]
    if has_images_only(infos) and _begin_as_files(file, infos):
        for info in infos:
            (member,) = _list_rows(file, info, [_ONE_IMAGE])
            yield member._replace(name=info.name)
        return
    if _are_labels_only(file.url, infos):
        return
    for images in find_images(file.url, infos):
        labels = _read_labels(file, images, infos)
        rows = range(images.info.shape[0])
        for row, member in enumerate(_list_rows(file, images.info, rows)):
            name = f"{images.info.name}[{row}]"
            yield member._replace(name=name, label=labels[row], split=images.split)


def _tell_texts(file: Hdf5File, info: DatasetInfo) -> DatasetInfo:
    """Return what a dataset is, with bytes of a fixed size as texts if they are no image files."""
    if info.kind != OPAQUE or len(info.shape) != 1:
        return info
    first = file.open(info.name).read(0, min(1, info.shape[0])).tobytes()
    return info if begins_as_image_file(first) else info._replace(kind=TEXT)


def _begin_as_files(file: Hdf5File, infos: Sequence[DatasetInfo]) -> bool:
    """Return whether the first dataset that may be an image file is one, or there is none."""
    for info in infos:
        if len(info.shape) < 2:
            num_bytes = min(NEEDED_BYTES, *info.shape, NEEDED_BYTES)
            return begins_as_image_file(file.open(info.name).read(0, num_bytes).tobytes())
    return True


def _are_labels_only(url: str, infos: Sequence[DatasetInfo]) -> bool:
    """Return whether a file has the labels of another one beside it: a_y.h5 of a_x.h5."""
    match = re.fullmatch(r"(.*[-_.])y(\.\w+)", url, re.I | re.S)
    if match is None or len(infos) != 1:
        return False
    (info,) = infos
    is_single = len(info.shape) > 0 and set(info.shape[1:]) <= {1}
    return is_single and _find_beside(url, "y", "x") is not None


def _find_beside(url: str, of: str, to: str) -> Optional[ArchiveFile]:
    """Return the file whose name ends in another letter; None if there is none."""
    match = re.fullmatch(rf"(.*[-_.]){of}(\.\w+)", url, re.I | re.S)
    if match is None:
        return None
    other = f"{match[1]}{to}{match[2]}"
    info = storage.file_info(other)
    return None if info is None else ArchiveFile(other, info.size_bytes)


def _read_labels(file: Hdf5File, images: Images, infos: Sequence[DatasetInfo]) -> list[str]:
    """Return the label of each row; empty ones if there are none."""
    info = find_labels(file.url, images, infos)
    if info is not None:
        return _label_texts(file, images, info, infos)
    beside = _find_beside(file.url, "x", "y")
    if beside is None:
        return [""] * images.info.shape[0]
    with Hdf5File(*beside) as other:
        others = list(other.list_datasets())
        found = find_labels(other.url, images, others, is_beside=True)
        assert found is not None
        return _label_texts(other, images, found, others)


def _label_texts(
    file: Hdf5File, images: Images, info: DatasetInfo, infos: Sequence[DatasetInfo]
) -> list[str]:
    texts = _read_texts(file, info)
    named = find_class_names(images, info, infos)
    if named is None:
        return texts
    names = _read_texts(file, named)
    numbers = list(map(int, texts))
    for row, number in enumerate(numbers):
        if not 0 <= number < len(names):
            raise ArchiveError(
                f"{file.url}: {info.name}[{row}] is {number}, and {named.name} has the names of "
                f"{len(names)} classes"
            )
    return [names[number] for number in numbers]


def _read_texts(file: Hdf5File, info: DatasetInfo) -> list[str]:
    values = np.ravel(file.open(info.name).read(0, info.shape[0])).tolist()
    return [
        value.decode("utf-8", "replace").strip() if isinstance(value, bytes) else str(value)
        for value in values
    ]


def _list_rows(file: Hdf5File, info: DatasetInfo, rows: Sequence[int]) -> Iterator[Member]:
    """Yield members without names.

    Args:
        rows: those of the dataset, or _ONE_IMAGE.
    """
    dataset = file.open(info.name)
    chunks = dataset.find_chunks() if rows != [_ONE_IMAGE] else None
    shape = info.shape if rows == [_ONE_IMAGE] else info.shape[1:]
    num_bytes = prod(shape) * dataset.item_bytes
    is_file = info.kind in (FILES, OPAQUE) or len(shape) == 1
    sides = (0, 0, 0) if is_file else (*shape, 1)[:3]
    size = num_bytes if is_file else image_file_bytes(*sides)
    sizes = _list_sizes(dataset, len(rows)) if info.kind == FILES else repeat(size)
    for number, size in zip(range(len(rows)), sizes):
        words: tuple[Union[str, int], ...] = (_ROW, file.size_bytes, 0, 0, rows[number], info.name)
        if chunks is not None:
            words = (_ROW, file.size_bytes, *chunks[number], rows[number], info.name)
        elif info.kind != FILES and dataset.offset is not None:
            words = (_PIECE, dataset.offset + number * num_bytes, num_bytes, *sides)
        problem = _UNWRITTEN if chunks is not None and not chunks[number].num_bytes else ""
        yield Member("", size, " ".join(map(str, words)), problem=problem)


def _list_sizes(dataset: Hdf5Dataset, num_rows: int) -> Iterator[int]:
    """Yield the size of each image file, for which all of them are read."""
    for first in range(0, num_rows, _LISTED_ROWS):
        for value in dataset.read(first, min(first + _LISTED_ROWS, num_rows)):
            yield value.nbytes


def read_members(url: str, places: Sequence[str]) -> list[MemberData]:
    results: dict[int, MemberData] = {}
    pieces: list[tuple[int, Piece, list[int]]] = []
    rows: defaultdict[int, list[_Row]] = defaultdict(list)
    for number, place in enumerate(places):
        kind, rest = place.split(" ", 1)
        if kind == _PIECE:
            start, length, *sides = map(int, rest.split())
            pieces.append((number, Piece(start, length), sides))
        else:
            size, offset, num_bytes, row, name = rest.split(" ", 4)
            part = Piece(int(offset), int(num_bytes))
            rows[int(size)].append(_Row(number, name, int(row), part))
    contents = storage.read_pieces(url, [piece for _, piece, _ in pieces])
    for (number, _, sides), data in zip(pieces, contents):
        if isinstance(data, OSError) or not any(sides):
            results[number] = data
        else:
            results[number] = to_image_file(np.frombuffer(data, np.uint8).reshape(sides))
    for size_bytes, of_size in rows.items():
        results.update(_read_rows(ArchiveFile(url, size_bytes), of_size))
    return [results[number] for number in range(len(places))]


class _Row(NamedTuple):
    number: int  # of the result
    dataset: str
    row: int  # or _ONE_IMAGE
    chunks: Piece  # of the file; of no bytes if it is not known


def _read_rows(archive: ArchiveFile, rows: Sequence[_Row]) -> dict[int, MemberData]:
    """Read rows of datasets; return the results by their numbers."""
    results: dict[int, MemberData] = {}
    try:
        with Hdf5File(*archive) as file:
            file.load({row.chunks for row in rows})
            for name, group in groupby(rows, key=lambda row: row.dataset):
                of_dataset = list(group)
                found = _read_dataset(file.open(name), [row.row for row in of_dataset])
                results.update((row.number, found[row.row]) for row in of_dataset)
    except FileNotFoundError as error:
        results.update((row.number, error) for row in rows if row.number not in results)
    except (OSError, ArchiveError, *DAMAGE) as error:
        problem = OSError(f"cannot be read from the HDF5 file: {error}; or {CHANGED}")
        results.update((row.number, problem) for row in rows if row.number not in results)
    return results


def _read_dataset(dataset: Hdf5Dataset, rows: Sequence[int]) -> dict[int, MemberData]:
    results: dict[int, MemberData] = {}
    # Neighbours are read together, so that their chunks are unpacked once.
    for _, run in groupby(enumerate(sorted(set(rows))), key=lambda pair: pair[1] - pair[0]):
        neighbours = [row for _, row in run]
        if neighbours[0] == _ONE_IMAGE:
            results[_ONE_IMAGE] = _to_file(dataset.read(_ONE_IMAGE, 0))
            continue
        values = dataset.read(neighbours[0], neighbours[-1] + 1)
        results.update((row, _to_file(values[n, ...])) for n, row in enumerate(neighbours))
    return results


def _to_file(value: npt.NDArray[Any]) -> bytes:
    value = value[()] if value.dtype == object else value  # an array in an array
    if value.dtype == np.uint8 and value.ndim > 1:
        return to_image_file(value)
    return value.tobytes()
