from __future__ import annotations

from pathlib import Path
from typing import Callable

import pytest
from pyspark.sql import SparkSession

from conftest import DrawImages
from halftone.config import Config
from halftone.preprocess.dry_run import PreprocessEstimate, estimate_preprocessing, format_estimate


def test_a_sample_is_decoded_and_nothing_is_written(
    spark: SparkSession, draw_images: DrawImages, tmp_path: Path, config: Callable[..., Config]
) -> None:
    images = draw_images(each=60)
    for path in list(images.rglob("*.png"))[:12]:
        path.write_bytes(b"")
    before = sorted(tmp_path.rglob("*"))
    estimate = estimate_preprocessing(config(), str(images), lambda: spark)
    assert sorted(tmp_path.rglob("*")) == before
    assert (estimate.num_images, estimate.num_sampled, estimate.cores) == (120, 50, 2)
    assert set(estimate.rejects) == {"empty"}
    assert estimate.rows == round(120 * (50 - estimate.rejects["empty"]) / 50)
    assert estimate.input_bytes == sum(path.stat().st_size for path in images.rglob("*.png"))
    assert 256 < estimate.row_bytes < 600  # 16 x 16 pixels and the other columns
    assert 0 < estimate.secs_per_image < 0.1
    assert 10e6 < estimate.worker_bytes < 700e6


@pytest.mark.parametrize(("images", "sampled"), [(8, 8), (120, 50), (200, 50)])
def test_the_sample_has_at_least_50_images_if_there_are_so_many(
    spark: SparkSession,
    draw_images: DrawImages,
    config: Callable[..., Config],
    images: int,
    sampled: int,
) -> None:
    root = draw_images(each=images // 2)
    assert estimate_preprocessing(config(), str(root), lambda: spark).num_sampled == sampled


def test_an_estimate_is_formatted_as_lines() -> None:
    estimate = PreprocessEstimate(
        num_images=1_000_000,
        num_sampled=10_000,
        rejects={"truncated": 150, "empty": 50},
        input_bytes=312_500_000_000,
        row_bytes=4_250,
        secs_per_image=0.0022,
        cores=64,
        worker_bytes=180_000_000,
        split_method="by a hash of the path",
    )
    assert format_estimate(estimate).splitlines() == [
        "sample: 10,000 of 1,000,000 images",
        "rejects: 200 of the sample, 2.0% (150 truncated, 50 empty)",
        "rows: about 980,000",
        "splits: by a hash of the path",
        "input: 312.5 GB",
        "output: about 4.2 GB, 4,250 bytes per row",
        "time: about 0:34 on 64 cores, 2.20 ms per image and core, plus the start of Spark",
        "memory: 180.0 MB in each of 64 Python workers",
        "estimate only: nothing was written",
    ]
