from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from halftone import shards
from halftone.shards import Piece, Shard
from halftone.splits import SPLITS


def as_lists(planned: list[Shard]) -> list[tuple[str, list[tuple[str, list[int]]]]]:
    return [(s.path, [(piece.part, piece.rows.tolist()) for piece in s.pieces]) for s in planned]


def rows(*numbers: int) -> np.ndarray:
    return np.array(numbers, dtype=np.int64)


def test_rows_of_all_parts_are_cut_into_equal_shards_split_by_split() -> None:
    kept = [
        ("p0", "train", rows(0, 2, 3)),
        ("p1", "train", rows(1, 4)),
        ("p1", "validation", rows(5)),
        ("p2", "test", rows(0)),
    ]
    sizes = {"train": 2, "validation": 2, "test": 2}
    assert as_lists(shards.plan(kept, sizes, "run")) == [
        ("train/run-00000.parquet", [("p0", [0, 2])]),
        ("train/run-00001.parquet", [("p0", [3]), ("p1", [1])]),
        ("train/run-00002.parquet", [("p1", [4])]),
        ("validation/run-00000.parquet", [("p1", [5])]),
        ("test/run-00000.parquet", [("p2", [0])]),
    ]


PARTS = st.lists(st.integers(0, 40), max_size=12)


@given(PARTS, PARTS, st.integers(1, 30))
def test_every_row_is_in_one_shard_in_order_and_only_the_last_is_short(
    train: list[int], test: list[int], size: int
) -> None:
    kept = [(f"a{n}", "train", np.arange(count)) for n, count in enumerate(train)]
    kept += [(f"b{n}", "test", np.arange(count)) for n, count in enumerate(test)]
    planned = shards.plan(kept, dict.fromkeys(SPLITS, size), "run")
    for split in SPLITS:
        own = [shard for shard in planned if shard.split == split]
        flat = [(p.part, row) for shard in own for p in shard.pieces for row in p.rows.tolist()]
        assert flat == [(part, row) for part, of, n in kept if of == split for row in n.tolist()]
        counts = [sum(len(piece.rows) for piece in shard.pieces) for shard in own]
        assert counts[:-1] == [size] * len(counts[:-1])
        assert all(0 < count <= size for count in counts)


@pytest.mark.parametrize(
    ("setting", "row_bytes", "num_rows", "expected"),
    [
        (100, 4096, 1_000_000, 100),  # as asked
        ("auto", 4096, 1_000_000, 4096),  # 16 MiB
        ("auto", 4096, 1_000, 125),  # 8 shards, so that 8 ranks have one each
        ("auto", 4096, 3, 1),
        ("auto", 4096, 0, 1),
        ("auto", 2**26, 1_000, 1),  # an image larger than a shard should be
    ],
)
def test_rows_per_shard(setting: str | int, row_bytes: int, num_rows: int, expected: int) -> None:
    assert shards.rows_per_shard(setting, row_bytes, num_rows, min_shards=8) == expected


def test_a_piece_of_nothing_makes_no_shard() -> None:
    assert shards.plan([("p0", "train", rows())], dict.fromkeys(SPLITS, 2), "run") == []
    assert Piece("p0", rows()).rows.size == 0
