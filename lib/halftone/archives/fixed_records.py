"""Files of records of equal size: IDX (MNIST), and the binary archives of CIFAR."""

from __future__ import annotations

import re
import struct
from collections.abc import Iterator, Sequence

import numpy as np

from halftone import storage
from halftone.archives.format_names import CIFAR10, IDX, name_format
from halftone.archives.member import ArchiveError, ArchiveFile, Member, MemberData
from halftone.archives.raw_pixels import image_file_bytes, to_image_file
from halftone.storage import Piece

HAS_FILES = False
_IDX_IMAGES, _IDX_LABELS = 0x803, 0x801
_CIFAR_SIDE_PX = 32
_CIFAR_PIXELS = 3 * _CIFAR_SIDE_PX**2
_SPLIT = re.compile(r"(train|test|t10k)[^/]*$|data_batch[^/]*$", re.I)
_NAMES_OF_CIFAR10, _NAMES_OF_CIFAR100 = "batches.meta.txt", "fine_label_names.txt"


def list_members(archive: ArchiveFile) -> Iterator[Member]:
    if name_format(archive.url) == IDX:
        return _list_idx(archive)
    return _list_cifar(archive, 1 if name_format(archive.url) == CIFAR10 else 2)


def _find_split(url: str) -> str:
    """Return the split that the name of a file tells."""
    match = _SPLIT.search(url)
    if match is None:
        return ""
    return "train" if (match[1] or "train").lower() == "train" else "test"


def _list_idx(archive: ArchiveFile) -> Iterator[Member]:
    head = _read(archive.url, Piece(0, 16))
    magic, count, height_px, width_px = struct.unpack(">4I", head.ljust(16, b"\0"))
    needed = 16 + count * height_px * width_px
    if magic != _IDX_IMAGES or archive.size_bytes != needed:
        raise ArchiveError(
            f"{archive.url}: is no complete IDX file of images: it has {archive.size_bytes:,} "
            f"bytes, {count:,} images of {height_px} x {width_px} px need {needed:,}"
        )
    labels = _read_idx_labels(archive.url, count)
    split, size = _find_split(archive.url), height_px * width_px
    file_bytes = image_file_bytes(height_px, width_px, 1)
    for number in range(count):
        place = f"{16 + number * size} {height_px} {width_px}"
        yield Member(f"{number:08d}", file_bytes, place, labels[number], split)


def _read_idx_labels(url: str, count: int) -> list[str]:
    """Return the labels of the file beside the images; empty ones if there is none."""
    folder, slash, name = url.rpartition("/")
    name = re.sub("images([-.])idx3", r"labels\1idx1", name, flags=re.I)
    labels_url = f"{folder}{slash}{name}"
    info = storage.file_info(labels_url)
    if info is None:
        return [""] * count
    data = _read(labels_url, Piece(0, info.size_bytes))
    magic, num_labels = struct.unpack(">2I", data[:8].ljust(8, b"\0"))
    if magic != _IDX_LABELS or num_labels != count or len(data) != 8 + count:
        raise ArchiveError(
            f"{labels_url}: is no complete IDX file of labels: it has {num_labels:,} labels in "
            f"{len(data):,} bytes, {url} has {count:,} images"
        )
    return list(map(str, data[8:]))


def _list_cifar(archive: ArchiveFile, label_bytes: int) -> Iterator[Member]:
    record_bytes = label_bytes + _CIFAR_PIXELS
    count, rest = divmod(archive.size_bytes, record_bytes)
    if rest or not count:
        raise ArchiveError(
            f"{archive.url}: is no complete binary archive of CIFAR: {archive.size_bytes:,} bytes "
            f"are no multiple of {record_bytes:,}; rename it if it is something else"
        )
    names = _read_names(archive.url, label_bytes)
    data = np.frombuffer(_read(archive.url, Piece(0, archive.size_bytes)), np.uint8)
    # Of CIFAR-100, the second of two labels is the fine one.
    label_ids = data.reshape(count, record_bytes)[:, label_bytes - 1].tolist()
    split = _find_split(archive.url)
    file_bytes = image_file_bytes(_CIFAR_SIDE_PX, _CIFAR_SIDE_PX, 3)
    for number, label_id in enumerate(label_ids):
        if names and label_id >= len(names):
            raise ArchiveError(
                f"{archive.url}: image {number:,} has the label {label_id}, and there are the "
                f"names of {len(names)} classes beside it"
            )
        label = names[label_id] if names else str(label_id)
        place = f"{number * record_bytes + label_bytes} {_CIFAR_SIDE_PX} {_CIFAR_SIDE_PX} 3"
        yield Member(f"{number:08d}", file_bytes, place, label, split)


def _read_names(url: str, label_bytes: int) -> list[str]:
    """Return the names of the classes of a file beside the archive; none if there is no file."""
    name = _NAMES_OF_CIFAR10 if label_bytes == 1 else _NAMES_OF_CIFAR100
    names_url = f"{url.rpartition('/')[0]}/{name}"
    if storage.file_size(names_url) is None:
        return []
    return storage.read_bytes(names_url).decode("utf-8", "replace").split()


def _read(url: str, piece: Piece) -> bytes:
    (data,) = storage.read_pieces(url, [piece])
    if isinstance(data, OSError):
        raise ArchiveError(f"{url}: cannot be read: {data}")
    return data


def read_members(url: str, places: Sequence[str]) -> list[MemberData]:
    shapes = [tuple(map(int, place.split())) for place in places]
    pieces = [Piece(offset, int(np.prod(shape))) for offset, *shape in shapes]
    results: list[MemberData] = []
    for data, (_, height_px, width_px, *channels) in zip(storage.read_pieces(url, pieces), shapes):
        if isinstance(data, OSError):
            results.append(data)
        elif channels:  # one plane after the other
            planes = np.frombuffer(data, np.uint8).reshape(*channels, height_px, width_px)
            results.append(to_image_file(planes.transpose(1, 2, 0)))
        else:
            pixels = np.frombuffer(data, np.uint8).reshape(height_px, width_px)
            results.append(to_image_file(pixels))
    return results
