"""The name of a run, the plan of its blocks, and the staged parts, with Spark where needed."""

from __future__ import annotations

from pathlib import Path
from typing import Any, Callable, Literal

import pyarrow.parquet as pq
import pytest
from pyspark.sql import SparkSession

from conftest import DrawImages
from example_manifest import example
from halftone import arrow
from halftone.config import Config, PixelSpec
from halftone.preprocess import catalogue, staging
from halftone.preprocess.catalogue import ENTRIES, Catalogue, UnusableImage
from halftone.preprocess.changes import Delta
from halftone.preprocess.context import PreprocessContext
from halftone.preprocess.decode_block import PART, is_decoded
from tables import table

MakeConfig = Callable[..., Config]
CATALOGUE = Catalogue(
    "/i",
    table(ENTRIES, ("cat/1.jpg", "cat", 0, 100, 1.5), ("dog/2.jpg", "dog", 2, 200, 2.5)),
    [],
    {},
)


def delta(to_remove: str = "") -> Delta:
    empty = arrow.chunked_string_array([])
    removed = arrow.chunked_string_array(to_remove.split())
    return Delta(to_read=empty, to_move=empty, to_remove=removed, missing=empty)


def test_a_run_name_depends_on_everything_that_decides_the_output(config: MakeConfig) -> None:
    def name(
        images: Catalogue = CATALOGUE, removed: str = "", previous: Any = None, **settings: object
    ) -> str:
        return staging.compute_run_name(
            images, images.entries, delta(removed), config(**settings), previous
        )

    default = name()
    assert len(default) == 16
    assert int(default, 16) >= 0
    reversed_ = CATALOGUE._replace(entries=arrow.take_rows(CATALOGUE.entries, [1, 0]))
    shorter = CATALOGUE._replace(entries=CATALOGUE.entries.slice(1))
    modified = table(ENTRIES, ("cat/1.jpg", "cat", 0, 100, 1.5), ("dog/2.jpg", "dog", 2, 200, 9.0))
    unusable = CATALOGUE._replace(
        unusable_images=[UnusableImage("3.jpg", "unlabelled", "", 1, 1.5)]
    )
    next_version = example().model_copy(update={"version": 2})
    others = [
        name(CATALOGUE._replace(root="/other")),
        name(reversed_),
        name(shorter),
        name(CATALOGUE._replace(entries=modified)),
        name(unusable),
        name(removed="/i/cat/1.jpg"),
        name(previous=example()),
        name(previous=next_version),
        name(seed=3),
        name(pixels={"height_px": 8, "width_px": 16}),
        name(splits={"test_fraction": 0.2}),
        name(preprocess={"rows_per_shard": 7}),
    ]
    moved = staging.compute_run_name(
        CATALOGUE, CATALOGUE.entries, delta(), config(), None, CATALOGUE.entries.slice(1)
    )
    assert len({default, moved, *others}) == 14
    # These settings do not change the files that are written.
    assert name(splits={"allow_ungrouped": True}) == default
    assert name(preprocess={"read_threads": 3, "max_reject_fraction": 0.9}) == default


def test_a_run_name_does_not_depend_on_the_chunks_of_columns(config: MakeConfig) -> None:
    two_chunks = arrow.concat_columns(
        CATALOGUE.entries["path"].slice(0, 1), CATALOGUE.entries["path"].slice(1)
    )
    chunked = CATALOGUE.entries.set_column(0, ENTRIES.field("path"), two_chunks)
    assert len(chunked["path"].chunks) == 2
    names = {
        staging.compute_run_name(CATALOGUE, entries, delta(), config(), None)
        for entries in (chunked, CATALOGUE.entries)
    }
    assert len(names) == 1


@pytest.mark.parametrize(
    ("side_px", "channels", "images", "blocks"),
    [(1024, 3, 1000, [42] * 23 + [34]), (640, 3, 2000, [109] * 18 + [38]), (8192, 3, 3, [1, 1, 1])],
)
def test_a_block_has_at_most_128_mib_of_pixels_or_one_image(
    tmp_path: Path, side_px: int, channels: Literal[1, 3], images: int, blocks: list[int]
) -> None:
    pixels = PixelSpec(height_px=side_px, width_px=side_px, channels=channels)
    entries = arrow.take_rows(CATALOGUE.entries, [0] * images)
    _, count = staging.plan_blocks("/i", entries, pixels, 8, str(tmp_path), 1)
    metadata = pq.ParquetFile(tmp_path / "plan.parquet").metadata
    assert [metadata.row_group(n).num_rows for n in range(count)] == blocks


@pytest.mark.parametrize(
    ("images", "cores", "blocks"),
    [
        (1, 8, [1]),
        (40, 2, [32, 8]),
        (640, 2, [32] * 20),
        (2001, 2, [63] * 31 + [48]),
        (100_000, 2, [2000] * 50),
        (100_000, 64, [98] * 1020 + [40]),
    ],
)
def test_a_plan_has_blocks_for_all_cores_and_none_is_too_large(
    tmp_path: Path, images: int, cores: int, blocks: list[int]
) -> None:
    arguments = (
        "/i",
        arrow.take_rows(CATALOGUE.entries, [0] * images),
        PixelSpec(height_px=16, width_px=16, channels=1),
        8,
        str(tmp_path),
    )
    job, count = staging.plan_blocks(*arguments, cores)
    assert count == len(blocks)
    metadata = pq.ParquetFile(tmp_path / "plan.parquet").metadata
    assert [metadata.row_group(n).num_rows for n in range(count)] == blocks
    assert (job.root, job.parts) == ("/i", f"{tmp_path}/parts")
    # A rerun after a kill keeps the blocks, whatever the number of cores.
    assert staging.plan_blocks(*arguments, 3 * cores) == (job, count)


def test_parts_are_staged_below_the_dataset_in_a_folder_with_the_run_name(
    spark: SparkSession, draw_images: DrawImages, tmp_path: Path, config: MakeConfig
) -> None:
    images = str(draw_images(each=25))
    found_images = catalogue.build_catalogue(images, config())
    dataset = str(tmp_path / "dataset")
    context = PreprocessContext(spark, config(), found_images, dataset, "a-run", None)
    parts = staging.stage_images(context, found_images.entries)
    folder = f"{dataset}/_staging/a-run/parts"
    assert [url for url, _ in parts] == [f"{folder}/part-{n:06d}.parquet" for n in (0, 1)]
    assert [part.num_rows for _, part in parts] == [32, 18]
    keys = [key for _, part in parts for key in part["key"].to_pylist()]
    assert keys == found_images.keys().to_pylist()
    assert all(part.column_names == columns_without_pixels() for _, part in parts)
    assert all(is_decoded(part).all() for _, part in parts)


def columns_without_pixels() -> list[str]:
    return [name for name in PART.names if name != "image"]


def test_no_images_to_read_need_no_spark(tmp_path: Path, config: MakeConfig) -> None:
    dataset = str(tmp_path / "dataset")
    context = PreprocessContext(None, config(), CATALOGUE, dataset, "run", None)  # type: ignore[arg-type]
    assert staging.stage_images(context, CATALOGUE.entries.slice(0, 0)) == []
    assert not (tmp_path / "dataset").exists()


def test_full_digests_are_equal_only_for_equal_files(spark: SparkSession, tmp_path: Path) -> None:
    for name, data in (("a", b"one"), ("b", b"one"), ("c", b"two"), ("d", b"two")):
        (tmp_path / name).write_bytes(data)
    a, b, c, d = (str(tmp_path / name) for name in "abcd")
    digests = staging.compute_full_digests(spark, [[a, b, c], [d]])
    assert set(digests) == {a, b, c, d}
    assert digests[a] == digests[b]
    assert digests[c] == digests[d] != digests[a]
    assert staging.compute_full_digests(spark, []) == {}
