"""The plan of a version's shards: pure functions, no files."""

from __future__ import annotations

from typing import Callable

import pytest
from hypothesis import given
from hypothesis import strategies as st

from halftone.config import Config
from halftone.dataset.shard_files import ShardFile
from halftone.dataset.splits import SPLITS
from halftone.errors import InputError
from halftone.preprocess import shards
from halftone.preprocess.shards import FileRows, Shard, ShardSource

MakeConfig = Callable[..., Config]


def test_rows_of_all_parts_are_cut_into_equal_shards_by_split() -> None:
    file_rows = [
        FileRows("p0", "train", 3, ("n0", "n1")),
        FileRows("p1", "train", 2),
        FileRows("p1", "validation", 1),
        FileRows("p2", "test", 1),
    ]
    sizes = {"train": 2, "validation": 2, "test": 2}
    assert shards.plan_shards(file_rows, sizes, "run") == (
        [],
        [
            Shard("train/run-00000.parquet", "train", (ShardSource("p0", ("n0", "n1"), 0, 2),)),
            Shard(
                "train/run-00001.parquet",
                "train",
                (ShardSource("p0", ("n0", "n1"), 2, 1), ShardSource("p1", (), 0, 1)),
            ),
            Shard("train/run-00002.parquet", "train", (ShardSource("p1", (), 1, 1),)),
            Shard("validation/run-00000.parquet", "validation", (ShardSource("p1", (), 0, 1),)),
            Shard("test/run-00000.parquet", "test", (ShardSource("p2", (), 0, 1),)),
        ],
    )


PARTS = st.lists(st.integers(0, 40), max_size=12)


@given(PARTS, PARTS, st.integers(1, 30))
def test_every_row_is_in_one_shard_in_order_and_only_the_last_shard_is_shorter(
    train: list[int], test: list[int], size: int
) -> None:
    file_rows = [FileRows(f"a{n}", "train", count) for n, count in enumerate(train)]
    file_rows += [FileRows(f"b{n}", "test", count) for n, count in enumerate(test)]
    unchanged, planned = shards.plan_shards(file_rows, dict.fromkeys(SPLITS, size), "run")
    assert unchanged == []
    for split in SPLITS:
        split_shards = [shard for shard in planned if shard.split == split]
        planned_rows = [
            (source.url, row)
            for shard in split_shards
            for source in shard.sources
            for row in range(source.first, source.first + source.num_rows)
        ]
        assert planned_rows == [
            (file.url, row)
            for file in file_rows
            if file.split == split
            for row in range(file.num_rows)
        ]
        counts = [shard.num_rows for shard in split_shards]
        assert counts[:-1] == [size] * len(counts[:-1])
        assert all(0 < count <= size for count in counts)


def existing(number: int, count: int, split: str = "train", lost: int = 0) -> FileRows:
    """An existing shard of `count` rows, of which `lost` are removed."""
    file = ShardFile(path=f"s{number}", split=split, rows=count, size_bytes=1, digest="")
    notes = (f"n{number}",) if lost else ()
    return FileRows(f"s{number}", split, count - lost, notes, None if lost else file)


@given(
    st.lists(st.tuples(st.integers(1, 9), st.integers(0, 2)), max_size=9),
    st.lists(st.integers(0, 9), max_size=3),
    st.integers(1, 9),
)
def test_rows_of_existing_shards_stay_where_they_are_or_are_written_in_order(
    existing_rows: list[tuple[int, int]], new_rows: list[int], size: int
) -> None:
    file_rows = [
        existing(number, count, lost=min(lost, count))
        for number, (count, lost) in enumerate(existing_rows)
    ]
    file_rows += [FileRows(f"p{number}", "train", count) for number, count in enumerate(new_rows)]
    unchanged, planned = shards.plan_shards(file_rows, dict.fromkeys(SPLITS, size), "run")
    kept = {file.path for file in unchanged}
    assert [file.path for file in unchanged] == [file.url for file in file_rows if file.url in kept]
    assert all(file.shard for file in file_rows if file.url in kept)
    written = [
        (source.url, row)
        for shard in planned
        for source in shard.sources
        for row in range(source.first, source.first + source.num_rows)
    ]
    assert written == [
        (file.url, row)
        for file in file_rows
        if file.url not in kept
        for row in range(file.num_rows)
    ]
    counts = [file.rows for file in unchanged] + [shard.num_rows for shard in planned]
    assert max(counts, default=0) <= size
    if planned:  # else a short shard may be anywhere
        assert counts[:-1] == [size] * len(counts[:-1])


@pytest.mark.parametrize(
    ("setting", "row_bytes", "num_rows", "expected"),
    [
        (100, 4096, 1_000_000, 100),  # the setting
        ("auto", 4096, 1_000_000, 4096),  # 16 MiB
        ("auto", 4096, 1_000, 125),  # 8 shards, one for each of 8 ranks
        ("auto", 4096, 3, 1),
        ("auto", 4096, 0, 1),
        ("auto", 2**26, 1_000, 1),  # an image larger than the target size of a shard
    ],
)
def test_rows_per_shard(setting: str | int, row_bytes: int, num_rows: int, expected: int) -> None:
    assert shards.rows_per_shard(setting, row_bytes, num_rows, min_shards=8) == expected


def test_a_file_without_rows_makes_no_shard() -> None:
    sizes = dict.fromkeys(SPLITS, 2)
    assert shards.plan_shards([FileRows("p0", "train", 0)], sizes, "run") == ([], [])


def plan_with(*file_rows: FileRows, size: int = 4) -> tuple[list[str], list[int]]:
    """The paths of the unchanged shards, and the number of rows of each shard to write."""
    unchanged, planned = shards.plan_shards(file_rows, dict.fromkeys(SPLITS, size), "run")
    return [file.path for file in unchanged], [shard.num_rows for shard in planned]


def test_without_new_rows_all_shards_stay_unchanged() -> None:
    assert plan_with(existing(0, 4), existing(1, 3)) == (["s0", "s1"], [])


def test_new_rows_fill_up_the_short_shard() -> None:
    new = FileRows("p", "train", 3)
    assert plan_with(existing(0, 4), existing(1, 3), new) == (["s0"], [4, 2])


def test_a_shard_that_lost_rows_is_rewritten_together_with_the_short_one() -> None:
    lossy = existing(0, 4, lost=1)
    assert plan_with(lossy, existing(1, 4), existing(2, 3)) == (["s1"], [4, 2])


def test_a_shard_that_lost_all_rows_leaves_the_others_unchanged() -> None:
    assert plan_with(existing(0, 4, lost=4), existing(1, 3)) == (["s1"], [])


def test_a_split_without_new_rows_stays_unchanged() -> None:
    new = FileRows("p", "test", 1)
    assert plan_with(existing(0, 4), existing(1, 3), new) == (["s0", "s1"], [1])


def test_the_shard_size_changes_only_if_it_doubles() -> None:
    file_rows = [existing(0, 100)]
    assert shards.stable_rows_per_shard(file_rows, "train", 199) == 100
    assert shards.stable_rows_per_shard(file_rows, "train", 200) == 200
    assert shards.stable_rows_per_shard(file_rows, "train", 50) == 100
    assert shards.stable_rows_per_shard(file_rows, "test", 50) == 50
    new = FileRows("p", "train", 150)
    assert plan_with(existing(0, 100), new, size=200) == ([], [200, 50])


def sizes(config: MakeConfig, num_rows: int, rows_per_shard: object) -> dict[str, int]:
    """The shard sizes for images of 192 MiB and the same number of new rows in each split."""
    pixels = {"height_px": 8192, "width_px": 8192, "channels": 3}
    settings = config(pixels=pixels, preprocess={"rows_per_shard": rows_per_shard})
    return shards.shard_sizes(settings, {split: {"cat": num_rows} for split in SPLITS}, [])


def test_shards_that_fit_into_one_column(config: MakeConfig) -> None:
    assert sizes(config, 100, "auto") == dict.fromkeys(SPLITS, 1)
    assert sizes(config, 100, 10) == dict.fromkeys(SPLITS, 10)
    assert sizes(config, 10, 11) == dict.fromkeys(SPLITS, 11)  # no shard has 11 rows


def test_a_shard_of_2_gib_is_an_error(config: MakeConfig) -> None:
    with pytest.raises(InputError) as caught:
        sizes(config, 100, 11)
    assert str(caught.value) == (
        "preprocess.rows_per_shard 11: a shard of 11 rows of 201326592 bytes is 2 GiB or more; use "
        "at most 10, or auto"
    )
