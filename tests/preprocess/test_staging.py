"""The plan of what is read, its name, and the staged parts, with real Spark where it is needed."""

from __future__ import annotations

from pathlib import Path
from typing import Any, Callable

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
from halftone.preprocess.decode_block import PART, is_decoded
from tables import table

MakeConfig = Callable[..., Config]
FOUND = Catalogue(
    "/i",
    table(ENTRIES, ("cat/1.jpg", "cat", 0, 100, 1.5), ("dog/2.jpg", "dog", 2, 200, 2.5)),
    [],
    {},
)


def delta(forget: str = "") -> Delta:
    nothing = arrow.chunked_string_array([])
    return Delta(
        to_read=nothing, to_remove=arrow.chunked_string_array(forget.split()), missing=nothing
    )


def test_a_run_has_the_name_of_all_that_decides_what_it_writes(config: MakeConfig) -> None:
    def name(
        found: Catalogue = FOUND, forget: str = "", last: Any = None, **settings: object
    ) -> str:
        return staging.run_name(found, found.entries, delta(forget), config(**settings), last)

    usual = name()
    assert len(usual) == 16
    assert int(usual, 16) >= 0
    turned = FOUND._replace(entries=arrow.take_rows(FOUND.entries, [1, 0]))
    less = FOUND._replace(entries=FOUND.entries.slice(1))
    touched = table(ENTRIES, ("cat/1.jpg", "cat", 0, 100, 1.5), ("dog/2.jpg", "dog", 2, 200, 9.0))
    unusable = FOUND._replace(unusable_images=[UnusableImage("3.jpg", "unlabelled", "", 1, 1.5)])
    later = example().model_copy(update={"version": 2})
    others = [
        name(FOUND._replace(root="/other")),
        name(turned),
        name(less),
        name(FOUND._replace(entries=touched)),
        name(unusable),
        name(forget="/i/cat/1.jpg"),
        name(last=example()),
        name(last=later),
        name(seed=3),
        name(pixels={"height_px": 8, "width_px": 16}),
        name(splits={"test_fraction": 0.2}),
        name(preprocess={"rows_per_shard": 7}),
    ]
    assert len({usual, *others}) == 13
    # Neither changes a byte of what is written.
    assert name(preprocess={"read_threads": 3, "max_reject_fraction": 0.9}) == usual


def test_a_name_does_not_depend_on_how_the_columns_lie_in_memory(config: MakeConfig) -> None:
    pieces = arrow.concat_columns(FOUND.entries["path"].slice(0, 1), FOUND.entries["path"].slice(1))
    cut = FOUND.entries.set_column(0, ENTRIES.field("path"), pieces)
    assert len(cut["path"].chunks) == 2
    names = {
        staging.run_name(FOUND, entries, delta(), config(), None)
        for entries in (cut, FOUND.entries)
    }
    assert len(names) == 1


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
def test_a_plan_has_blocks_for_all_cores_and_none_too_large(
    tmp_path: Path, images: int, cores: int, blocks: list[int]
) -> None:
    what = (
        "/i",
        arrow.take_rows(FOUND.entries, [0] * images),
        PixelSpec(height_px=16, width_px=16, channels=1),
        8,
        str(tmp_path),
    )
    work, count = staging.plan_blocks(*what, cores)
    assert count == len(blocks)
    metadata = pq.ParquetFile(tmp_path / "plan.parquet").metadata
    assert [metadata.row_group(n).num_rows for n in range(count)] == blocks
    assert (work.root, work.parts) == ("/i", f"{tmp_path}/parts")
    # A run that goes on after a kill does so with the blocks that there were, on any machine.
    assert staging.plan_blocks(*what, 3 * cores) == (work, count)


def test_parts_are_staged_below_the_dataset_under_the_run_s_name(
    spark: SparkSession, draw_images: DrawImages, tmp_path: Path, config: MakeConfig
) -> None:
    images = str(draw_images(each=25))
    found = catalogue.build_catalogue(images, config())
    dataset = str(tmp_path / "dataset")
    parts = staging.stage_images(spark, config(), images, found.entries, dataset, "a-run")
    folder = f"{dataset}/_staging/a-run/parts"
    assert [url for url, _ in parts] == [f"{folder}/part-{n:06d}.parquet" for n in (0, 1)]
    assert [part.num_rows for _, part in parts] == [32, 18]
    keys = [key for _, part in parts for key in part["key"].to_pylist()]
    assert keys == found.keys().to_pylist()
    assert all(part.column_names == _without_image() for _, part in parts)
    assert all(is_decoded(part).all() for _, part in parts)


def _without_image() -> list[str]:
    return [name for name in PART.names if name != "image"]


def test_nothing_to_read_needs_no_spark(tmp_path: Path, config: MakeConfig) -> None:
    nothing = FOUND.entries.slice(0, 0)
    dataset = str(tmp_path / "dataset")
    assert staging.stage_images(None, config(), "/i", nothing, dataset, "run") == []  # type: ignore[arg-type]
    assert not (tmp_path / "dataset").exists()


def test_look_alikes_are_compared_by_all_their_bytes(spark: SparkSession, tmp_path: Path) -> None:
    for name, data in (("a", b"one"), ("b", b"one"), ("c", b"two"), ("d", b"two")):
        (tmp_path / name).write_bytes(data)
    a, b, c, d = (str(tmp_path / name) for name in "abcd")
    found = staging.compute_full_digests(spark, [[a, b, c], [d]])
    assert set(found) == {a, b, c, d}
    assert found[a] == found[b]
    assert found[c] == found[d] != found[a]
    assert staging.compute_full_digests(spark, []) == {}
