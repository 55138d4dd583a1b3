"""Shards in a table: written, read by split, and added up."""

from __future__ import annotations

import tempfile
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from halftone.dataset import shard_files
from halftone.dataset.shard_files import ShardFile, SplitTotals
from halftone.dataset.splits import SPLITS

COUNTS = st.lists(st.integers(0, 9), min_size=3, max_size=3)
GROUP_ROWS = 4


def make_files(counts: list[int]) -> list[ShardFile]:
    """Shards of each split in the order of SPLITS, all different."""
    return [
        ShardFile(f"{split}/{n}.parquet", split, n + 1, 10 * n, f"d{n}", (n, 2 * n), (n, 2**40))
        for split, count in zip(SPLITS, counts)
        for n in range(count)
    ]


@given(COUNTS)
def test_files_are_read_back_by_split(counts: list[int]) -> None:
    files = make_files(counts)
    with pytest.MonkeyPatch.context() as patch, tempfile.TemporaryDirectory() as root:
        patch.setattr(shard_files, "_GROUP_ROWS", GROUP_ROWS)
        url = f"{root}/files.parquet"
        shard_files.write_files(url, files)
        assert shard_files.read_files(url) == files
        for split in SPLITS:
            of_split = [file for file in files if file.split == split]
            assert shard_files.read_files(url, split) == of_split
            assert shard_files.read_paths(url, split) == [file.path for file in of_split]


def test_shards_of_an_older_halftone_have_no_sums(tmp_path: Path) -> None:
    files = [ShardFile("train/a", "train", 2, 9, "d"), ShardFile("train/b", "train", 1, 5, "e")]
    url = str(tmp_path / "files.parquet")
    shard_files.write_files(url, files)
    assert shard_files.read_files(url) == files


def test_shards_are_added_up_exactly() -> None:
    first = ShardFile("a", "train", 2, 9, "d", (1, 2), (2**62, 4))
    second = ShardFile("b", "train", 3, 8, "e", (10, 20), (2**62, 40))
    assert shard_files.add_up([first, second]) == SplitTotals(2, 5, 17, (11, 22), (2**63, 44))
    without_sums = ShardFile("c", "train", 1, 1, "f")
    assert shard_files.add_up([first, without_sums]) == SplitTotals(2, 3, 10, (), ())
    assert shard_files.add_up([]) == SplitTotals(0, 0, 0, (), ())
