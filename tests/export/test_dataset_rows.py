"""The first rows of a split of a real dataset."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pyarrow.parquet as pq
import pytest

from halftone.dataset import manifest
from halftone.dataset.manifest import Manifest
from halftone.dataset.shard_files import ShardFile
from halftone.errors import InputError
from halftone.export.dataset_rows import first_rows


def read_split(root: Path, data: Manifest, split: str) -> tuple[np.ndarray, list[int]]:
    tables = [
        pq.read_table(root / shard.path).to_pydict()
        for shard in manifest.read_shards(str(root), data, split)
    ]
    images = [image for table in tables for image in table["image"]]
    pixels = np.frombuffer(b"".join(images), np.uint8).reshape(-1, 16, 16, 1)
    return pixels, [label for table in tables for label in table["label_id"]]


@pytest.mark.parametrize("max_rows", [1, 8, 20, 1000])
@pytest.mark.parametrize("batch_size", [3, 8])
def test_rows_are_the_first_of_the_split(
    prepared_dataset: Path, max_rows: int, batch_size: int
) -> None:
    """Its shards have 8 rows."""
    data = manifest.read_manifest(str(prepared_dataset))
    pixels, label_ids = read_split(prepared_dataset, data, "validation")
    assert len(pixels) > 20
    count = min(max_rows, len(pixels))
    rows = first_rows(str(prepared_dataset), data, ("validation",), max_rows)
    assert (rows.split, rows.num_rows) == ("validation", count)
    assert str(rows) == f"the validation split of {prepared_dataset}"
    for _ in range(2):  # calibration reads them more than once
        batches = list(rows.batches(batch_size))
        assert max(len(batch.pixels) for batch in batches) <= batch_size
        np.testing.assert_array_equal(
            np.concatenate([batch.pixels for batch in batches]), pixels[:count]
        )
        assert np.concatenate([batch.label_ids for batch in batches]).tolist() == label_ids[:count]


def test_the_first_split_that_has_rows(prepared_dataset: Path) -> None:
    data = manifest.read_manifest(str(prepared_dataset))
    files = [file for file in data.files or () if file.split != "test"]
    without_test = data.model_copy(update={"files": files})
    order = ("test", "validation", "train")
    assert first_rows(str(prepared_dataset), data, order, 5).split == "test"
    assert first_rows(str(prepared_dataset), without_test, order, 5).split == "validation"
    with pytest.raises(InputError) as caught:
        first_rows("/data", without_test, ("test",), 5)
    assert str(caught.value) == "/data: no rows in test; preprocess more images"


def test_a_missing_shard_is_named(prepared_dataset: Path) -> None:
    data = manifest.read_manifest(str(prepared_dataset))
    gone = ShardFile(path="test/gone.parquet", split="test", rows=1, size_bytes=9, digest="d")
    files = [*(data.files or ()), gone]
    with pytest.raises(InputError, match=r"test/gone\.parquet"):
        first_rows(str(prepared_dataset), data.model_copy(update={"files": files}), ("test",), 5)
