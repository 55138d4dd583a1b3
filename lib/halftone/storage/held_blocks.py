"""A file for libraries that read at any place: blocks of it are held in memory.

Such a library may hold a lock while it reads, as h5py does, and a request that it waits for could
wait for that lock. So `read` fails if a block is not held, and `run` reads what an operation lacked
when the library has returned, then repeats it.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Callable, TypeVar

from halftone.storage.ranges import CHANGED, Piece, SeekableFile, join_pieces, read_ranges

_BLOCK_BYTES = 2**15
# Blocks that follow those read last, with a small gap or none, are read with more behind them.
_GAP_BLOCKS = 8
_MORE, _MAX_AHEAD_BLOCKS = 4, 2**8
_HELD_BYTES = 2**26

_Result = TypeVar("_Result")


class HeldBlocks(SeekableFile):
    """A file of which blocks are held. Not for several threads."""

    def __init__(self, url: str, size_bytes: int) -> None:
        super().__init__(size_bytes)
        self._url = url
        self._blocks: dict[int, bytes] = {}  # by number, those read first in front
        self._missing: set[int] = set()
        self._next, self._ahead = -1, 1  # the block behind those read last; how many to read there

    def readinto(self, buffer: object) -> int:
        view = memoryview(buffer).cast("B")  # type: ignore[arg-type]
        piece = Piece(self._position, min(len(view), max(0, self._size_bytes - self._position)))
        numbers = self._numbers(piece)
        missing = [number for number in numbers if number not in self._blocks]
        if missing:
            self._missing.update(missing)
            raise OSError("blocks of the file are not held yet")
        data = b"".join(map(self._blocks.__getitem__, numbers))
        start = piece.offset - numbers.start * _BLOCK_BYTES
        view[: piece.num_bytes] = data[start : start + piece.num_bytes]
        self._position += piece.num_bytes
        return piece.num_bytes

    def run(self, operation: Callable[[], _Result]) -> _Result:
        """Return the result of an operation that reads this file, repeated until it has all blocks.

        Raises:
            OSError: the file cannot be read.
            StoreError: the store denies access to the file or does not respond.
            Exception: as `operation`.
        """
        self._drop()
        while True:
            try:
                result = operation()
            except Exception:
                if not self._missing:
                    raise
            else:
                if not self._missing:
                    return result
            self._read_missing()

    def load(self, pieces: Sequence[Piece]) -> None:
        """Hold pieces that `run` will read, with few requests at the same time.

        Raises:
            OSError: the file cannot be read.
        """
        self._read({number for piece in pieces for number in self._numbers(piece)})

    def _numbers(self, piece: Piece) -> range:
        if piece.num_bytes <= 0:
            return range(0)
        end = min(piece.end, self._size_bytes)
        return range(piece.offset // _BLOCK_BYTES, -(-end // _BLOCK_BYTES))

    def _drop(self) -> None:
        while len(self._blocks) * _BLOCK_BYTES > _HELD_BYTES:
            del self._blocks[next(iter(self._blocks))]

    def _read_missing(self) -> None:
        first, last = min(self._missing), max(self._missing)
        follows = self._next - 1 <= first <= self._next + _GAP_BLOCKS
        self._ahead = min(_MORE * self._ahead, _MAX_AHEAD_BLOCKS) if follows else 1
        numbers = self._missing.union(range(last + 1, last + self._ahead))
        self._missing = set()
        self._next = max(numbers) + 1
        self._read(numbers)

    def _read(self, numbers: set[int]) -> None:
        size = _BLOCK_BYTES
        wanted = [
            Piece(number * size, min(size, self._size_bytes - number * size))
            for number in sorted(numbers - self._blocks.keys())
            if number * size < self._size_bytes
        ]
        ranges = join_pieces(wanted)
        for piece, content in zip(ranges, read_ranges(self._url, ranges)):
            if isinstance(content, OSError):
                raise content
            if len(content) < piece.num_bytes:
                raise OSError(CHANGED)
            for start in range(0, piece.num_bytes, size):
                self._blocks[(piece.offset + start) // size] = content[start : start + size]
