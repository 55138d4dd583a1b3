from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from halftone import shards
from halftone.manifest import ShardFile
from halftone.shards import Kept, Piece, Shard
from halftone.splits import SPLITS


def as_lists(planned: list[Shard]) -> list[tuple[str, list[tuple[str, list[int]]]]]:
    return [(s.path, [(piece.url, piece.rows.tolist()) for piece in s.pieces]) for s in planned]


def rows(*numbers: int) -> np.ndarray:
    return np.array(numbers, dtype=np.int64)


def test_rows_of_all_parts_are_cut_into_equal_shards_split_by_split() -> None:
    kept = [
        Kept("p0", "train", rows(0, 2, 3)),
        Kept("p1", "train", rows(1, 4)),
        Kept("p1", "validation", rows(5)),
        Kept("p2", "test", rows(0)),
    ]
    sizes = {"train": 2, "validation": 2, "test": 2}
    assert as_lists(shards.plan(kept, sizes, "run")[1]) == [
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
    kept = [Kept(f"a{n}", "train", np.arange(count)) for n, count in enumerate(train)]
    kept += [Kept(f"b{n}", "test", np.arange(count)) for n, count in enumerate(test)]
    _, planned = shards.plan(kept, dict.fromkeys(SPLITS, size), "run")
    for split in SPLITS:
        own = [shard for shard in planned if shard.split == split]
        flat = [(p.url, row) for shard in own for p in shard.pieces for row in p.rows.tolist()]
        assert flat == [(k.url, row) for k in kept if k.split == split for row in k.rows.tolist()]
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
    assert shards.plan([Kept("p0", "train", rows())], dict.fromkeys(SPLITS, 2), "run") == ([], [])
    assert Piece("p0", rows()).rows.size == 0


def standing(number: int, count: int, split: str = "train", lost: int = 0) -> Kept:
    """A shard that stands, all its rows but `lost` ones kept."""
    file = ShardFile(path=f"s{number}", split=split, rows=count, size_bytes=1, digest="")
    kept = np.arange(count - lost, dtype=np.int64)
    return Kept(f"s{number}", split, kept, None if lost else file)


def plan_with(*kept: Kept, size: int = 4) -> tuple[list[str], list[int]]:
    """The shards that go on standing and the rows of those to write."""
    stand, new = shards.plan(kept, dict.fromkeys(SPLITS, size), "run")
    return [file.path for file in stand], [sum(len(p.rows) for p in s.pieces) for s in new]


def test_without_new_rows_all_shards_go_on_standing() -> None:
    assert plan_with(standing(0, 4), standing(1, 3)) == (["s0", "s1"], [])


def test_new_rows_fill_up_the_short_shard() -> None:
    new = Kept("p", "train", rows(0, 1, 2))
    assert plan_with(standing(0, 4), standing(1, 3), new) == (["s0"], [4, 2])


def test_a_shard_that_lost_rows_is_written_anew_and_the_short_one_with_it() -> None:
    lossy = standing(0, 4, lost=1)
    assert plan_with(lossy, standing(1, 4), standing(2, 3)) == (["s1"], [4, 2])


def test_a_split_without_new_rows_is_left_alone() -> None:
    new = Kept("p", "test", rows(0))
    assert plan_with(standing(0, 4), standing(1, 3), new) == (["s0", "s1"], [1])


def test_shards_grow_only_when_they_would_double() -> None:
    kept = [standing(0, 100)]
    assert shards.settled(kept, "train", 199) == 100
    assert shards.settled(kept, "train", 200) == 200
    assert shards.settled(kept, "train", 50) == 100
    assert shards.settled(kept, "test", 50) == 50
    new = Kept("p", "train", np.arange(150))
    assert plan_with(standing(0, 100), new, size=200) == ([], [200, 50])
