"""From staged parts to the dataset's shards: which rows go where (pure), and writing them."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from typing import NamedTuple, Optional, Union

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from halftone import schema, storage
from halftone.splits import SPLITS

_TARGET_BYTES = 16 * 2**20


class Piece(NamedTuple):
    """Rows of one staged part, in order."""

    part: str  # URL
    rows: npt.NDArray[np.int64]


class Shard(NamedTuple):
    path: str  # below the dataset's root
    split: str
    pieces: tuple[Piece, ...]


def rows_per_shard(setting: Union[str, int], row_bytes: int, num_rows: int, min_shards: int) -> int:
    """Return the setting, or for `auto` what gives 16 MiB shards, and at least `min_shards`.

    Every Horovod rank needs a row group of its own, so a small split gets small shards.
    """
    if isinstance(setting, int):
        return setting
    return max(1, min(_TARGET_BYTES // row_bytes, num_rows // min_shards))


def plan(
    kept: Sequence[tuple[str, str, npt.NDArray[np.int64]]],
    num_rows_per_shard: dict[str, int],
    run: str,
) -> list[Shard]:
    """Cut the kept rows of all parts into shards of equal row counts, the last one shorter.

    Args:
        kept: (part's URL, split, rows to keep) in the dataset's order, a split after another.
        num_rows_per_shard: by split.
        run: a name for the files that no other input or config gives.
    """
    shards: list[Shard] = []
    for split in SPLITS:
        pieces = [Piece(part, rows) for part, of, rows in kept if of == split and len(rows)]
        for number, cut in enumerate(_cut(pieces, num_rows_per_shard[split])):
            shards.append(Shard(f"{split}/{run}-{number:05d}.parquet", split, cut))
    return shards


def _cut(pieces: Sequence[Piece], num_rows: int) -> list[tuple[Piece, ...]]:
    shards: list[tuple[Piece, ...]] = []
    open_shard: list[Piece] = []
    room = num_rows
    for part, rows in pieces:
        while len(rows):
            open_shard.append(Piece(part, rows[:room]))
            room, rows = room - len(rows[:room]), rows[room:]
            if not room:
                shards.append(tuple(open_shard))
                open_shard, room = [], num_rows
    return [*shards, tuple(open_shard)] if open_shard else shards


class Written(NamedTuple):
    rows: int
    size_bytes: int
    digest: str


class Writer:
    """Writes shards. Keeps the last part read, as neighbouring shards often share one."""

    def __init__(self, root: str, images: str, labels: Sequence[str]) -> None:
        self._root = root
        self._images = images
        self._labels = pa.array(labels, pa.string())
        self._last: Optional[tuple[str, pa.Table]] = None

    def write(self, shard: Shard) -> Written:
        """Write one shard; the same rows always give the same file, byte for byte."""
        pieces = [self._read(piece.part).take(piece.rows) for piece in shard.pieces]
        part = pa.concat_tables(pieces).combine_chunks()
        table = self._as_rows(part)
        size_bytes = storage.write_table(storage.join(self._root, shard.path), table)
        return Written(table.num_rows, size_bytes, _digest(table, self._images))

    def _read(self, url: str) -> pa.Table:
        if self._last is None or self._last[0] != url:
            self._last = (url, storage.read_table(url))
        return self._last[1]

    def _as_rows(self, part: pa.Table) -> pa.Table:
        label_ids = pc.index_in(part["label"], value_set=self._labels)
        columns = [
            label_ids if name == schema.LABEL_ID else part[name] for name in schema.ROWS.names
        ]
        return pa.table(columns, schema=schema.ROWS)


def _digest(rows: pa.Table, images: str) -> str:
    """Digest what a model can see of the rows, and their paths below the images' folder."""
    paths = pa.array([key[len(images) :] for key in rows[schema.KEY].to_pylist()], pa.string())
    digest = hashlib.blake2b(digest_size=16)
    for column in (paths, rows[schema.LABEL].chunk(0), rows[schema.IMAGE].chunk(0)):
        _, offsets, data = column.buffers()
        ends = np.frombuffer(offsets, np.int32, rows.num_rows + 1)
        digest.update(np.diff(ends).astype("<i4").tobytes())
        digest.update(memoryview(data)[ends[0] : ends[-1]])
    return digest.hexdigest()
