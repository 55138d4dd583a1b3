from __future__ import annotations

import tempfile
from pathlib import Path
from typing import Any, Callable

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pyspark.sql import SparkSession

from conftest import DrawImages
from halftone import storage
from halftone.config import Config
from halftone.dataset import manifest, pixel_statistics, schema
from halftone.dataset.manifest import ShardFile
from halftone.dataset.splits import SPLITS
from halftone.preprocess import shards
from halftone.preprocess.run import preprocess
from halftone.preprocess.shards import RowSelection, Shard, ShardSource


def as_lists(planned: list[Shard]) -> list[tuple[str, list[tuple[str, list[int]]]]]:
    return [
        (shard.path, [(source.url, source.row_numbers.tolist()) for source in shard.sources])
        for shard in planned
    ]


def rows(*numbers: int) -> np.ndarray:
    return np.array(numbers, dtype=np.int64)


def test_rows_of_all_parts_are_cut_into_equal_shards_by_split() -> None:
    selections = [
        RowSelection("p0", "train", rows(0, 2, 3)),
        RowSelection("p1", "train", rows(1, 4)),
        RowSelection("p1", "validation", rows(5)),
        RowSelection("p2", "test", rows(0)),
    ]
    sizes = {"train": 2, "validation": 2, "test": 2}
    assert as_lists(shards.plan_shards(selections, sizes, "run")[1]) == [
        ("train/run-00000.parquet", [("p0", [0, 2])]),
        ("train/run-00001.parquet", [("p0", [3]), ("p1", [1])]),
        ("train/run-00002.parquet", [("p1", [4])]),
        ("validation/run-00000.parquet", [("p1", [5])]),
        ("test/run-00000.parquet", [("p2", [0])]),
    ]


PARTS = st.lists(st.integers(0, 40), max_size=12)


@given(PARTS, PARTS, st.integers(1, 30))
def test_every_row_is_in_one_shard_in_order_and_only_the_last_shard_is_shorter(
    train: list[int], test: list[int], size: int
) -> None:
    selections = [RowSelection(f"a{n}", "train", np.arange(count)) for n, count in enumerate(train)]
    selections += [RowSelection(f"b{n}", "test", np.arange(count)) for n, count in enumerate(test)]
    _, planned = shards.plan_shards(selections, dict.fromkeys(SPLITS, size), "run")
    for split in SPLITS:
        split_shards = [shard for shard in planned if shard.split == split]
        planned_rows = [
            (source.url, row)
            for shard in split_shards
            for source in shard.sources
            for row in source.row_numbers.tolist()
        ]
        assert planned_rows == [
            (selection.url, row)
            for selection in selections
            if selection.split == split
            for row in selection.row_numbers.tolist()
        ]
        counts = [
            sum(len(source.row_numbers) for source in shard.sources) for shard in split_shards
        ]
        assert counts[:-1] == [size] * len(counts[:-1])
        assert all(0 < count <= size for count in counts)


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


def test_an_empty_selection_makes_no_shard() -> None:
    assert shards.plan_shards(
        [RowSelection("p0", "train", rows())], dict.fromkeys(SPLITS, 2), "run"
    ) == ([], [])
    assert ShardSource("p0", rows()).row_numbers.size == 0


def existing(number: int, count: int, split: str = "train", lost: int = 0) -> RowSelection:
    """An existing shard, of which the last `lost` rows are removed."""
    file = ShardFile(path=f"s{number}", split=split, rows=count, size_bytes=1, digest="")
    row_numbers = np.arange(count - lost, dtype=np.int64)
    return RowSelection(f"s{number}", split, row_numbers, None if lost else file)


def plan_with(*selections: RowSelection, size: int = 4) -> tuple[list[str], list[int]]:
    """The paths of the unchanged shards, and the number of rows of each shard to write."""
    unchanged, planned = shards.plan_shards(selections, dict.fromkeys(SPLITS, size), "run")
    counts = [sum(len(source.row_numbers) for source in shard.sources) for shard in planned]
    return [file.path for file in unchanged], counts


def test_without_new_rows_all_shards_stay_unchanged() -> None:
    assert plan_with(existing(0, 4), existing(1, 3)) == (["s0", "s1"], [])


def test_new_rows_fill_up_the_short_shard() -> None:
    new = RowSelection("p", "train", rows(0, 1, 2))
    assert plan_with(existing(0, 4), existing(1, 3), new) == (["s0"], [4, 2])


def test_a_shard_that_lost_rows_is_rewritten_together_with_the_short_one() -> None:
    lossy = existing(0, 4, lost=1)
    assert plan_with(lossy, existing(1, 4), existing(2, 3)) == (["s1"], [4, 2])


def test_a_split_without_new_rows_stays_unchanged() -> None:
    new = RowSelection("p", "test", rows(0))
    assert plan_with(existing(0, 4), existing(1, 3), new) == (["s0", "s1"], [1])


def test_the_shard_size_changes_only_if_it_doubles() -> None:
    selections = [existing(0, 100)]
    assert shards.stable_rows_per_shard(selections, "train", 199) == 100
    assert shards.stable_rows_per_shard(selections, "train", 200) == 200
    assert shards.stable_rows_per_shard(selections, "train", 50) == 100
    assert shards.stable_rows_per_shard(selections, "test", 50) == 50
    new = RowSelection("p", "train", np.arange(150))
    assert plan_with(existing(0, 100), new, size=200) == ([], [200, 50])


def stage(url: str, images: np.ndarray) -> None:
    """Write a part of (N, height, width, channels) images, with invented values elsewhere."""
    known: dict[str, list[Any]] = {
        schema.KEY: [f"/images/cat/{number}.png" for number in range(len(images))],
        schema.LABEL: ["cat"] * len(images),
        schema.IMAGE: [image.tobytes() for image in images],
        "source_digest": [bytes(16)] * len(images),
    }
    part = schema.ROWS.remove(schema.ROWS.get_field_index(schema.LABEL_ID))
    columns = [known.get(field.name, [0] * len(images)) for field in part]
    storage.write_table(url, pa.table(list(map(pa.array, columns, part.types)), schema=part))


@settings(max_examples=20, deadline=None)
@given(
    st.lists(st.integers(1, 15), min_size=1, max_size=3),
    st.integers(1, 20),
    st.sampled_from([1, 3]),
    st.integers(0, 99),
)
def test_shard_sums_give_the_statistics_of_all_pixels(
    parts: list[int], size: int, channels: int, seed: int
) -> None:
    images = np.random.default_rng(seed).integers(
        0, 256, (sum(parts), 3, 2, channels), dtype=np.uint8
    )
    with tempfile.TemporaryDirectory() as root:
        selections = []
        for number, part in enumerate(np.split(images, np.cumsum(parts)[:-1])):
            url = storage.join(root, f"{number}.parquet")
            stage(url, part)
            selections.append(RowSelection(url, "train", np.arange(len(part))))
        _, planned = shards.plan_shards(selections, dict.fromkeys(SPLITS, size), "run")
        writer = shards.ShardWriter(root, "/images", ["cat"], (3, 2, channels))
        summaries = [writer.write(shard) for shard in planned]
    assert [summary.rows for summary in summaries[:-1]] == [size] * (len(summaries) - 1)
    pixels = images.reshape(-1, channels)
    first = pixels[: summaries[0].rows * 6].astype(int)
    assert summaries[0].sums == tuple(first.sum(axis=0))
    assert summaries[0].square_sums == tuple((first**2).sum(axis=0))
    statistics = pixel_statistics.statistics_from_sums(
        len(pixels), [(summary.sums, summary.square_sums) for summary in summaries]
    )
    np.testing.assert_allclose(statistics.mean, pixels.mean(axis=0), rtol=1e-12)
    np.testing.assert_allclose(statistics.deviation, pixels.std(axis=0), rtol=1e-9)


def test_unchanged_and_new_shards_both_have_their_sums(
    spark: SparkSession,
    tmp_path: Path,
    draw_images: DrawImages,
    config: Callable[..., Config],
) -> None:
    settings = config(
        pixels={"height_px": 8, "width_px": 8, "channels": 3}, preprocess={"rows_per_shard": 8}
    )
    dataset = str(tmp_path / "dataset")
    manifests = []
    for start, each in ((0, 20), (20, 30)):
        images = str(draw_images(start=start, each=each))
        manifests.append(preprocess(settings, images, dataset, lambda: spark).manifest)
    unchanged = set(manifests[0].files) & set(manifests[1].files)
    assert 2 <= len(unchanged) < len(manifests[1].files)
    for file in manifests[1].files:
        table = storage.read_table(storage.join(dataset, file.path))
        pixels = np.frombuffer(b"".join(table[schema.IMAGE].to_pylist()), np.uint8)
        pixels = pixels.reshape(-1, 3).astype(int)
        assert file.sums == tuple(pixels.sum(axis=0))
        assert file.square_sums == tuple((pixels**2).sum(axis=0))
    assert manifest.read_manifest(dataset) == manifests[1]
