from __future__ import annotations

from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from example_manifest import example
from halftone.dataset import integrity
from halftone.errors import InputError

CURE = "; restore it from a backup, or remove the dataset and run jobs/preprocess.py again"


@pytest.fixture
def root(tmp_path: Path) -> Path:
    """The files of the example's manifest."""
    for folder in ("train", "test", "rejects"):
        (tmp_path / folder).mkdir()
    (tmp_path / "train" / "a.parquet").write_bytes(b"9 bytes.\n")
    (tmp_path / "test" / "b.parquet").write_bytes(b"9 bytes.\n")
    (tmp_path / "train" / "of-another-version.parquet").write_bytes(b"")
    pq.write_table(pa.table({"path": ["x"]}), tmp_path / "rejects" / "a.parquet")
    return tmp_path


def error_of(root: Path) -> str:
    with pytest.raises(InputError) as caught:
        integrity.check_all_files(str(root), example())
    return str(caught.value)


def test_complete_dataset_is_accepted(root: Path) -> None:
    integrity.check_all_files(str(root), example())


def test_missing_shards_are_named(root: Path) -> None:
    (root / "test" / "b.parquet").unlink()
    (root / "test").rmdir()
    integrity.check_shards(str(root), example(), ["train"])
    assert error_of(root) == f"{root}: test/b.parquet is missing{CURE}"
    (root / "train" / "a.parquet").unlink()
    assert error_of(root) == f"{root}: train/a.parquet is missing (and 1 other file){CURE}"


def test_shard_of_another_size_is_named(root: Path) -> None:
    (root / "train" / "a.parquet").write_bytes(b"half")
    assert error_of(root) == f"{root}: train/a.parquet has 4 bytes instead of 9{CURE}"


def test_table_of_rejects_is_checked_by_its_rows(root: Path) -> None:
    path = root / "rejects" / "a.parquet"
    pq.write_table(pa.table({"path": ["x", "y"]}), path)
    assert error_of(root) == f"{root}: rejects/a.parquet has 2 rows instead of 1{CURE}"
    path.write_bytes(path.read_bytes()[:-1])
    assert error_of(root) == f"{root}: rejects/a.parquet is missing or damaged{CURE}"
    path.unlink()
    assert error_of(root) == f"{root}: rejects/a.parquet is missing or damaged{CURE}"
