"""An HDF5 file opened with h5py: its datasets, and where their data are."""

from __future__ import annotations

import operator
from collections import defaultdict
from collections.abc import Collection, Iterator
from functools import cached_property, partial
from math import prod
from types import TracebackType
from typing import Any, NamedTuple, Optional

import numpy as np

from halftone.archives.member import ArchiveError
from halftone.errors import MissingPackageError
from halftone.storage import HeldBlocks, Piece

# Kinds of values. Others are texts that describe them.
UINT8, INT, FLOAT, TEXT, FILES, OPAQUE = (
    *("uint8", "whole numbers", "floating-point numbers", "text"),
    *("uint8 of varying length", "bytes"),
)
# Of a dataset: decompressed chunks that the next rows may need too.
_CHUNK_CACHE_BYTES = 2**26
_MAX_CHUNK_BYTES = 2**30
_LOADED_BYTES = 2**25
DAMAGE = (KeyError, RuntimeError, ValueError)  # that h5py raises besides OSError


class DatasetInfo(NamedTuple):
    """What a dataset of a file is."""

    name: str  # with the groups that it is in: train/images
    shape: tuple[int, ...]
    kind: str

    def __str__(self) -> str:
        return f"{self.name} {self.shape} of {self.kind}"


class Hdf5File:
    """A context manager for a file to read.

    Raises:
        MissingPackageError: h5py is not installed.
        OSError: the file is damaged, no HDF5 file, or cannot be read.
    """

    def __init__(self, url: str, size_bytes: int) -> None:
        try:
            import h5py  # here: it takes a tenth of a second, and few datasets need it
        except ImportError:
            raise MissingPackageError(url, "h5py", "hdf5") from None
        self.url, self.size_bytes, self.h5py = url, size_bytes, h5py
        self.blocks = HeldBlocks(url, size_bytes)
        self._file = self.blocks.run(
            lambda: h5py.File(self.blocks, "r", rdcc_nbytes=_CHUNK_CACHE_BYTES)
        )

    def __enter__(self) -> Hdf5File:
        return self

    def __exit__(
        self,
        kind: Optional[type[BaseException]],
        error: Optional[BaseException],
        traceback: Optional[TracebackType],
    ) -> None:
        self.blocks.run(self._file.close)

    def load(self, pieces: Collection[Piece]) -> None:
        """Hold parts of the file in memory, the first ones if they are many."""
        some: list[Piece] = []
        for piece in sorted(pieces):
            if sum(each.num_bytes for each in some) + piece.num_bytes <= _LOADED_BYTES:
                some.append(piece)
        self.blocks.load(some)

    def list_datasets(self) -> Iterator[DatasetInfo]:
        """Yield the datasets of all groups, in the order of their names.

        Raises:
            ArchiveError: a part of the file is a link to another one, or has no name in UTF-8.
        """
        seen: set[Any] = set()
        yield from self._list_group(self._file, "", seen)

    def _list_group(self, group: Any, prefix: str, seen: set[Any]) -> Iterator[DatasetInfo]:
        h5py, run = self.h5py, self.blocks.run
        for name in run(lambda: list(group)):
            path = f"{prefix}{name}"
            if path != path.encode("utf-8", "replace").decode():
                raise ArchiveError(f"{self.url}: the name of {path!r} is not UTF-8; rename it")
            link = run(partial(group.get, name, getlink=True))
            if isinstance(link, h5py.ExternalLink):
                raise ArchiveError(
                    f"{self.url}: {path} is a link to another file, {link.filename}; write all "
                    "into one file (h5repack does), or remove the link"
                )
            if isinstance(link, h5py.SoftLink):  # what it links to is listed itself
                continue
            item: Any = run(partial(operator.getitem, group, name))
            place = run(partial(h5py.h5g.get_objinfo, item.id)).objno
            if place in seen:  # it has another name too
                continue
            seen.add(place)
            if isinstance(item, h5py.Group):
                yield from self._list_group(item, f"{path}/", seen)
            elif isinstance(item, h5py.Dataset):
                yield DatasetInfo(path, item.shape or (), self._name_kind(item))

    def _name_kind(self, dataset: Any) -> str:
        try:
            dtype = self.blocks.run(lambda: dataset.dtype)
        except TypeError:  # a type that NumPy does not have
            return "values of a type that is not read"
        if self.h5py.check_string_dtype(dtype) is not None:
            return TEXT if dtype.kind == "O" else OPAQUE
        inner = self.h5py.check_vlen_dtype(dtype)
        if inner is not None:
            return FILES if inner == "uint8" else f"{inner} of varying length"
        if dtype == "uint8":
            return UINT8
        kinds = {"V": OPAQUE, "i": INT, "u": INT, "f": FLOAT}
        kind = kinds.get(dtype.kind)
        return kind if kind and not dtype.names and not dtype.subdtype else str(dtype)

    def open(self, name: str) -> Hdf5Dataset:
        """Open a dataset.

        Raises:
            ArchiveError: its data are in other files, or in a form that is not read.
        """
        dataset = Hdf5Dataset(self, self.blocks.run(lambda: self._file[name]), name)
        dataset.check_readable()
        return dataset


class Hdf5Dataset:
    """A dataset that is opened by Hdf5File."""

    def __init__(self, file: Hdf5File, dataset: Any, name: str) -> None:
        self._file, self._dataset, self._name = file, dataset, name
        self._run = file.blocks.run

    def check_readable(self) -> None:
        place = f"{self._file.url}: {self._name}"
        dataset, h5py = self._dataset, self._file.h5py
        if self._run(lambda: dataset.is_virtual or dataset.external):
            raise ArchiveError(
                f"{place} has its data in other files (a virtual dataset, or external storage); "
                "write them into this file"
            )
        settings = self._run(dataset.id.get_create_plist)
        filters = [settings.get_filter(index) for index in range(settings.get_nfilters())]
        for code, _, _, title in filters:
            if not h5py.h5z.filter_avail(code):
                shown = title.decode("utf-8", "replace") or "without a name"
                raise ArchiveError(
                    f"{place} is compressed with the filter {code} ({shown}), which h5py does not "
                    "have here; write it with gzip, such as with h5repack -f GZIP=4 OLD NEW"
                )
        chunk_bytes = prod(dataset.chunks or ()) * dataset.dtype.itemsize
        if dataset.chunks and chunk_bytes > _MAX_CHUNK_BYTES:
            raise ArchiveError(
                f"{place} has chunks of {chunk_bytes:,} bytes, and {_MAX_CHUNK_BYTES:,} are read "
                "at most; write it with smaller chunks, such as of 64 images"
            )
        if dataset.size and self.is_contiguous and self.offset is None:
            raise ArchiveError(f"{place} has a shape, but its values were never written")

    @cached_property
    def is_contiguous(self) -> bool:
        """Whether the values are one piece of the file."""
        settings = self._run(self._dataset.id.get_create_plist)
        return bool(settings.get_layout() == self._file.h5py.h5d.CONTIGUOUS)

    @cached_property
    def offset(self) -> Optional[int]:
        """Where values that are one piece of the file begin; None of others."""
        offset: Optional[int] = self._run(self._dataset.id.get_offset)
        return offset if self.is_contiguous else None

    @property
    def item_bytes(self) -> int:
        return int(self._dataset.dtype.itemsize)

    def read(self, first: int, end: int) -> Any:
        """Return rows as an array; all of a dataset without rows, or of a negative number."""
        if first < 0 or not self._dataset.shape:
            return np.asarray(self._run(lambda: self._dataset[()]))
        if end > self._dataset.shape[0]:
            raise ValueError(f"{self._name} has no row {end - 1:,}")
        return self._run(lambda: self._dataset[first:end])

    def find_chunks(self) -> Optional[list[Piece]]:
        """Return the part of the file that has the chunks of each row; None without chunks.

        A row whose values were never written has no bytes there.
        """
        chunks, shape = self._dataset.chunks, self._dataset.shape
        if not chunks or not shape or 0 in shape:
            return None
        infos: list[Any] = []

        def read_index() -> None:
            infos.clear()
            if self._dataset.id.get_num_chunks():  # reads all of the index
                self._dataset.id.chunk_iter(infos.append)

        self._run(read_index)
        found: defaultdict[int, list[Piece]] = defaultdict(list)
        for info in infos:
            found[info.chunk_offset[0]].append(Piece(info.byte_offset, info.size))
        needed = prod(-(-side // step) for side, step in zip(shape[1:], chunks[1:]))
        parts = {
            first: Piece(min(pieces).offset, max(p.end for p in pieces) - min(pieces).offset)
            for first, pieces in found.items()
            if len(pieces) == needed
        }
        return [parts.get(row - row % chunks[0], Piece(0, 0)) for row in range(shape[0])]
