"""Read parts of a file: few large requests for many small pieces, and a file that is read ahead."""

from __future__ import annotations

import io
from collections.abc import Sequence
from typing import NamedTuple, Union

from halftone.storage import clients
from halftone.storage.urls import is_local

# Neighbours with less than this between them are read with one request: on a store, a request
# takes as long as some hundred kilobytes.
_MAX_GAP_BYTES = 2**17
# What one request reads at most, unless a single piece is larger.
_MAX_RANGE_BYTES = 2**24
CHANGED = "the archive has changed since it was listed, or cannot be read there"


class Piece(NamedTuple):
    """A part of a file."""

    offset: int
    num_bytes: int

    @property
    def end(self) -> int:
        return self.offset + self.num_bytes


def read_pieces(url: str, pieces: Sequence[Piece]) -> list[Union[bytes, OSError]]:
    """Read pieces of a file; neighbours with one request, all requests at the same time.

    Returns:
        For each piece its bytes, or an OSError that says why it cannot be read.

    Raises:
        StoreError: the store denies access to the file or does not respond.
    """
    if not pieces:
        return []
    order = sorted(range(len(pieces)), key=pieces.__getitem__)
    ranges = join_pieces([pieces[index] for index in order])
    contents = read_ranges(url, ranges)
    results: list[Union[bytes, OSError]] = [b""] * len(pieces)
    number = 0
    for index in order:
        piece = pieces[index]
        while piece.end > ranges[number].end:
            number += 1
        content, start = contents[number], piece.offset - ranges[number].offset
        if isinstance(content, OSError):
            results[index] = content
        elif start + piece.num_bytes > len(content):
            results[index] = OSError(CHANGED)
        else:
            results[index] = content[start : start + piece.num_bytes]
    return results


def join_pieces(pieces: Sequence[Piece]) -> list[Piece]:
    """Return the ranges to read for pieces that are sorted by their offsets."""
    ranges: list[Piece] = []
    for piece in pieces:
        if ranges:
            last = ranges[-1]
            end = max(last.end, piece.end)
            is_near = piece.offset - last.end <= _MAX_GAP_BYTES
            if piece.end <= last.end or (is_near and end - last.offset <= _MAX_RANGE_BYTES):
                ranges[-1] = Piece(last.offset, end - last.offset)
                continue
        ranges.append(piece)
    return ranges


def read_ranges(url: str, ranges: Sequence[Piece]) -> list[Union[bytes, OSError]]:
    """Read ranges of a file, each with a request; shorter ones at the end of the file."""
    if is_local(url):
        return _read_local(url, ranges)
    filesystem, path = clients.open_filesystem(url)
    starts, ends = [piece.offset for piece in ranges], [piece.end for piece in ranges]
    with clients.translate_errors(url):
        contents = filesystem.cat_ranges([path] * len(ranges), starts, ends, on_error="return")
    results: list[Union[bytes, OSError]] = []
    for content in contents:
        if isinstance(content, FileNotFoundError):
            results.append(FileNotFoundError("the archive was listed, but no longer exists"))
        elif isinstance(content, OSError) and "range" in str(content).lower():
            results.append(OSError(CHANGED))  # it begins behind the end of the file
        elif isinstance(content, Exception):
            with clients.translate_errors(url):
                raise content
        else:
            results.append(bytes(content))
    return results


def _read_local(path: str, ranges: Sequence[Piece]) -> list[Union[bytes, OSError]]:
    results: list[Union[bytes, OSError]] = []
    try:
        with open(path, "rb", buffering=0) as file:
            for piece in ranges:
                file.seek(piece.offset)
                results.append(_read_exactly(file, piece.num_bytes))
    except OSError as error:
        return [error] * len(ranges)
    return results


def _read_exactly(file: io.FileIO, num_bytes: int) -> bytes:
    parts = []
    while num_bytes and (part := file.read(num_bytes)):
        parts.append(part)
        num_bytes -= len(part)
    return b"".join(parts)


class SeekableFile(io.RawIOBase):
    """A file to read at any place."""

    def __init__(self, size_bytes: int) -> None:
        self._size_bytes, self._position = size_bytes, 0

    def readable(self) -> bool:
        return True

    def seekable(self) -> bool:
        return True

    def tell(self) -> int:
        return self._position

    def seek(self, offset: int, whence: int = io.SEEK_SET) -> int:
        origin = {io.SEEK_SET: 0, io.SEEK_CUR: self._position, io.SEEK_END: self._size_bytes}
        self._position = origin[whence] + offset
        if self._position < 0:
            raise OSError("a place before the beginning of the file")
        return self._position


class WindowedFile(SeekableFile):
    """A file to read at any place, of which a window behind the last place read is held.

    Reading forwards takes a request for each window; what is skipped beyond the window is not read.

    Raises:
        OSError: the file cannot be read.
    """

    def __init__(self, url: str, size_bytes: int, window_bytes: int) -> None:
        super().__init__(size_bytes)
        self._url, self._window_bytes = url, window_bytes
        self._start, self._window = 0, b""

    def read(self, size: int = -1) -> bytes:
        left = max(0, self._size_bytes - self._position)
        size = left if size < 0 else min(size, left)
        first = self._position - self._start
        if first < 0 or first + size > len(self._window):
            self._read_window(size)
            first = 0
        self._position += size
        return self._window[first : first + size]

    def readinto(self, buffer: object) -> int:
        view = memoryview(buffer).cast("B")  # type: ignore[arg-type]
        data = self.read(len(view))
        view[: len(data)] = data
        return len(data)

    def _read_window(self, size: int) -> None:
        length = min(max(size, self._window_bytes), self._size_bytes - self._position)
        (content,) = read_ranges(self._url, [Piece(self._position, length)]) if length else (b"",)
        if isinstance(content, OSError):
            raise content
        if len(content) < size:
            raise OSError(CHANGED)
        self._start, self._window = self._position, content
