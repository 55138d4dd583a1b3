"""The name of a run, the blocks of its images, and the staged parts, with Spark where needed."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Callable, Literal

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given
from hypothesis import strategies as st
from pyspark.sql import SparkSession

from conftest import DrawImages
from example_manifest import example
from halftone.config import Config, PixelSpec
from halftone.preprocess import staging
from halftone.preprocess.decode_block import DecodeJob, StagedPart
from halftone.preprocess.entries import ENTRIES
from halftone.spark.frames import create_frame
from listed_images import list_images
from tables import table

MakeConfig = Callable[..., Config]


def test_a_run_name_depends_on_everything_that_decides_the_output(config: MakeConfig) -> None:
    def name(root: str = "/i", work: str = "0a", previous: Any = None, **settings: object) -> str:
        return staging.compute_run_name(root, config(**settings), previous, work)

    default = name()
    assert len(default) == 16
    assert int(default, 16) >= 0
    others = [
        name(root="/other"),
        name(work="0b"),
        name(previous=example()),
        name(previous=example().model_copy(update={"version": 2})),
        name(seed=3),
        name(pixels={"height_px": 8, "width_px": 16}),
        name(splits={"test_fraction": 0.2}),
        name(preprocess={"rows_per_shard": 7}),
    ]
    assert len({default, *others}) == 9
    # These settings do not change the files that are written.
    assert name(splits={"allow_ungrouped": True}) == default
    assert name(preprocess={"read_threads": 3, "max_reject_fraction": 0.9}) == default


@pytest.mark.parametrize(
    ("images", "blocks"),
    [(1, 1), (40, 2), (640, 20), (2048, 64), (2049, 63), (100_000, 64), (10**8, 50_000)],
)
def test_blocks_are_neither_small_nor_large(images: int, blocks: int) -> None:
    assert staging.count_blocks(images, PixelSpec(height_px=16, width_px=16, channels=1)) == blocks


@pytest.mark.parametrize(
    ("side_px", "channels", "images", "blocks"),
    [(1024, 3, 1000, 32), (640, 3, 2000, 63), (640, 3, 20_000, 211), (8192, 3, 3, 3)],
)
def test_a_block_has_at_most_112_mib_of_pixels_or_one_image(
    side_px: int, channels: Literal[1, 3], images: int, blocks: int
) -> None:
    pixels = PixelSpec(height_px=side_px, width_px=side_px, channels=channels)
    assert staging.count_blocks(images, pixels) == blocks


def entry(path: str, position: int) -> tuple[object, ...]:
    return f"/i/{path}", path, "cat", 0, 100, 1.5, position, "", "", ""


def test_blocks_are_equal_ranges_of_the_positions(spark: SparkSession) -> None:
    positions = [-(2**63), -(2**62) - 1, -(2**62), -1, 0, 2**62 - 1, 2**62, 2**63 - 1]
    entries = table(ENTRIES, *(entry(f"{n}", position) for n, position in enumerate(positions)))
    frame = staging.group_by_block(create_frame(spark, entries, 3), 4, 8)
    found = sorted((row.position, row.block) for row in frame.collect())
    assert found == list(zip(positions, [0, 0, 1, 1, 2, 2, 3, 3]))
    three = staging.group_by_block(create_frame(spark, entries, 3), 3, 8).collect()
    assert [row.block for row in sorted(three, key=lambda row: row.position)] == [
        *(0, 0, 0, 1, 1, 2, 2, 2)
    ]


@given(st.lists(st.integers(1, 5), max_size=8), st.integers(1, 9))
def test_blocks_are_put_together_from_batches(sizes: Sequence[int], batch_rows: int) -> None:
    numbers = [block for block, size in enumerate(sizes) for _ in range(size)]
    whole = pa.table({"block": pa.array(numbers, pa.int64()), "row": list(range(len(numbers)))})
    batches = [whole.slice(start, batch_rows) for start in range(0, len(numbers), batch_rows)]
    blocks = list(staging.iter_blocks(iter(batches)))
    assert [(number, part.num_rows) for number, part in blocks] == list(enumerate(sizes))
    rows = [row for _, part in blocks for row in part["row"].to_pylist()]
    assert rows == list(range(len(numbers)))


def test_parts_have_the_images_in_order(
    spark: SparkSession, draw_images: DrawImages, tmp_path: Any, config: MakeConfig
) -> None:
    root = str(draw_images(each=25))
    images = list_images(root, config())
    entries = create_frame(spark, pa.Table.from_pylist(images.entries, schema=ENTRIES), 2)
    job = DecodeJob(root, str(tmp_path / "parts"), config().pixels, read_threads=2)
    parts = staging.stage_images(entries, 50, job)
    assert [part.url for part in parts] == [f"{job.parts}/part-{n:06d}.parquet" for n in (0, 1)]
    tables = [pq.read_table(part.url) for part in parts]
    by_position = sorted(images.entries, key=lambda row: row["position"])
    assert [key for part in tables for key in part["key"].to_pylist()] == [
        row["key"] for row in by_position
    ]
    for part, rows in zip(parts, tables):
        names = ["train", "validation", "test"]
        splits = rows["split"].to_pylist()
        counts = {name: splits.count(number) for number, name in enumerate(names)}
        assert part == StagedPart(part.url, rows.num_rows, counts)


def test_no_images_to_read_need_no_spark(tmp_path: Any, config: MakeConfig) -> None:
    job = DecodeJob("/i", str(tmp_path / "parts"), config().pixels, read_threads=2)
    assert staging.stage_images(None, 0, job) == []  # type: ignore[arg-type]
    assert not (tmp_path / "parts").exists()
