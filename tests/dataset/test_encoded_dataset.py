"""Datasets of encoded images, from raw images to scores and an export, with real Spark."""

from __future__ import annotations

from pathlib import Path
from typing import Any, Callable

import numpy as np
import pyarrow.parquet as pq
import pytest
from pyspark.sql import SparkSession

import saved_model
from conftest import DrawImages
from halftone import images, storage
from halftone.config import Config
from halftone.dataset import manifest
from halftone.dataset.manifest import Manifest
from halftone.export import tfrecord
from halftone.preprocess.run import preprocess
from halftone.scoring import score_dataset, score_images

PIXELS = {"height_px": 16, "width_px": 16, "channels": 3}
MakeConfig = Callable[..., Config]


def stored_rows(root: Path, data: Manifest) -> list[dict[str, Any]]:
    return [
        row
        for file in manifest.read_shards(str(root), data)
        for row in pq.read_table(root / file.path).to_pylist()
    ]


def probabilities(folder: Path, files: list[str]) -> dict[str, list[float]]:
    rows = [row for file in files for row in storage.read_table(str(folder / file)).to_pylist()]
    return {row["key"]: row["probability"] for row in rows}


@pytest.mark.slow
def test_png_gives_the_dataset_of_raw_pixels_also_when_it_grows(
    spark: SparkSession, tmp_path: Path, draw_images: DrawImages, config: MakeConfig
) -> None:
    versions: dict[str, list[Manifest]] = {"raw": [], "png": []}
    for start, each in ((0, 20), (20, 30)):
        folder = str(draw_images(start=start, each=each))
        for encoding, manifests in versions.items():
            settings = config(
                pixels={**PIXELS, "encoding": encoding}, preprocess={"rows_per_shard": 8}
            )
            result = preprocess(settings, folder, str(tmp_path / encoding), lambda: spark)
            manifests.append(result.manifest)
    for raw, png in zip(versions["raw"], versions["png"]):
        assert (png.fingerprint, png.counts) == (raw.fingerprint, raw.counts)
        assert png.pixel_statistics("train") == raw.pixel_statistics("train")
        assert [(file.rows, file.digest) for file in png.files or []] == [
            (file.rows, file.digest) for file in raw.files or []
        ]
    rows = stored_rows(tmp_path / "png", versions["png"][1])
    assert len(rows) == 60
    for row, expected in zip(rows, stored_rows(tmp_path / "raw", versions["raw"][1])):
        assert row["image"].startswith(b"\x89PNG")
        pixels = images.decode_pixels(row["image"], versions["png"][1].pixels)
        assert {**row, "image": pixels.tobytes()} == expected


@pytest.mark.slow
def test_jpegs_are_scored_and_exported_as_the_pixels_of_training(
    spark: SparkSession, tmp_path: Path, draw_images: DrawImages, config: MakeConfig
) -> None:
    import tensorflow as tf

    folder, dataset = draw_images(each=20), tmp_path / "dataset"
    settings = config(pixels={**PIXELS, "encoding": "jpeg", "jpeg_quality": 60})
    data = preprocess(settings, str(folder), str(dataset), lambda: spark).manifest
    rows = stored_rows(dataset, data)
    seen = {row["key"]: images.decode_pixels(row["image"], data.pixels) for row in rows}
    assert len(seen) == 40
    moments = np.stack([seen[row["key"]] for row in rows]).reshape(-1, 3)
    files = manifest.read_shards(str(dataset), data)
    assert [sum(file.sums[n] for file in files) for n in range(3)] == moments.sum(axis=0).tolist()

    model = saved_model.save(tmp_path / "model", settings, data.labels)
    network = saved_model.network((16, 16, 3), 2)
    arguments = (settings, str(dataset), str(model), str(tmp_path / "scores"), lambda: spark)
    of_shards = score_dataset.score_dataset(*arguments)
    from_shards = probabilities(tmp_path / "scores", of_shards.predictions)
    arguments = (settings, str(folder), str(model), str(tmp_path / "new"), lambda: spark)
    from_files = probabilities(tmp_path / "new", score_images.score_images(*arguments).predictions)
    assert from_files.keys() == seen.keys()
    assert from_shards.keys() < seen.keys()
    expected = dict(zip(seen, network.predict(np.stack(list(seen.values())), verbose=0)))
    for found in (from_shards, from_files):
        for key, probability in found.items():
            assert probability == pytest.approx(expected[key], abs=1e-6)

    out = tmp_path / "export"
    exported = tfrecord.export_dataset(str(dataset), str(out), "", lambda: spark)
    assert exported["encoding"] == "jpeg"
    assert tfrecord.export_dataset(str(dataset), str(out), "", lambda: spark) == exported
    paths = [str(out / shard["path"]) for shard in exported["shards"]]
    features = {"image": tf.io.FixedLenFeature([], tf.string)}
    for row, record in zip(rows, tf.data.TFRecordDataset(paths)):
        image = tf.io.parse_single_example(record, features)["image"]
        pixels = tf.io.decode_jpeg(image, dct_method="INTEGER_ACCURATE").numpy()
        np.testing.assert_array_equal(pixels, seen[row["key"]])
