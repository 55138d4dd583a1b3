"""Shards are written from staged parts, existing shards and the notes on their rows."""

from __future__ import annotations

import hashlib
import json
import os
import re
import signal
import tempfile
from dataclasses import replace
from pathlib import Path
from typing import Any, Callable, Optional

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pyspark.sql import SparkSession

from conftest import DrawImages
from halftone import storage
from halftone.config import Config, PixelSpec
from halftone.dataset import manifest, pixel_statistics, schema
from halftone.dataset.shard_files import ShardFile
from halftone.dataset.splits import SPLITS
from halftone.errors import InputError
from halftone.images import decode_pixels, encode_pixels
from halftone.preprocess import shard_writer, shards
from halftone.preprocess.decode_block import PART
from halftone.preprocess.row_notes import DROPPED, GONE, MOVED, ROW_NOTES
from halftone.preprocess.run import preprocess
from halftone.preprocess.shard_writer import ShardWriter, write_shards
from halftone.preprocess.shards import FileRows, Shard, ShardSource
from tables import digest, table

MIB = 2**20
PIXELS = PixelSpec(height_px=1, width_px=2)


def stage(url: str, *rows: tuple[str, str, int, str, int]) -> str:
    """Write a part; a row is its name, label, split, status and the grey level of 2 pixels."""
    staged = [
        (f"/i/{name}", label, split, status, "", bytes([grey] * 2), 9, 8, 7, 1.5, digest("d"), 6)
        for name, label, split, status, grey in rows
    ]
    storage.write_table(url, table(PART, *staged))
    return url


def note(url: str, *rows: tuple[int, str]) -> str:
    storage.write_table(url, table(ROW_NOTES, *((row, note, "", -1) for row, note in rows)))
    return url


def row(name: str, label: str, label_id: int, grey: int) -> tuple[object, ...]:
    """The row of a shard that `stage` describes."""
    return (f"/i/{name}", label, label_id, bytes([grey] * 2), 9, 8, 7, 1.5, digest("d"), 6)


def read_rows(root: Path, path: str) -> list[tuple[object, ...]]:
    written = storage.read_table(storage.join(str(root), path))
    return [tuple(values.values()) for values in written.to_pylist()]


@pytest.fixture
def writer(tmp_path: Path) -> ShardWriter:
    return ShardWriter(str(tmp_path), "/i", ["dog", "cat"], PIXELS)


def test_a_shard_has_the_decoded_rows_of_its_split_that_no_note_leaves_out(
    tmp_path: Path, writer: ShardWriter
) -> None:
    part = stage(
        str(tmp_path / "part"),
        ("0", "cat", 0, "ok", 1),
        ("1", "cat", 0, "damaged", 2),
        ("2", "dog", 2, "ok", 3),
        ("3", "dog", 0, "ok", 4),
        ("4", "cat", 0, "ok", 5),
        ("5", "dog", 0, "ok", 6),
        ("6", "cat", 0, "ok", 7),
    )
    notes = (
        note(str(tmp_path / "n0"), (0, GONE), (3, DROPPED)),
        note(str(tmp_path / "n1"), (5, MOVED)),
    )
    source = ShardSource(part, notes, 0, 3)
    file = writer.write(Shard("train/a.parquet", "train", (source,)))
    rows = [row("0", "cat", 1, 1), row("4", "cat", 1, 5), row("6", "cat", 1, 7)]
    assert read_rows(tmp_path, "train/a.parquet") == rows
    lengths = np.array([2, 2, 2, 3, 3, 3, 2, 2, 2], "<i4").tobytes()
    expected = hashlib.blake2b(
        lengths[:12] + b"/0/4/6" + lengths[12:24] + b"catcatcat" + lengths[24:] + b"\1\1\5\5\7\7",
        digest_size=16,
    )
    assert file.digest == expected.hexdigest()
    assert file == ShardFile(
        path="train/a.parquet",
        split="train",
        rows=3,
        size_bytes=(tmp_path / "train/a.parquet").stat().st_size,
        digest=file.digest,
        sums=(26,),
        square_sums=(150,),
    )


def test_a_shard_has_rows_of_parts_and_of_other_shards(tmp_path: Path, writer: ShardWriter) -> None:
    first = stage(str(tmp_path / "p0"), *((str(n), "dog", 0, "ok", n) for n in range(3)))
    writer.write(Shard("train/old.parquet", "train", (ShardSource(first, (), 0, 3),)))
    part = stage(str(tmp_path / "p1"), ("8", "cat", 1, "ok", 8), ("9", "cat", 0, "ok", 9))
    # The old shard had other label_ids.
    writer = ShardWriter(str(tmp_path), "/i", ["cat", "dog"], PIXELS)
    old = ShardSource(
        str(tmp_path / "train/old.parquet"), (note(str(tmp_path / "n"), (0, DROPPED)),), 1, 1
    )
    file = writer.write(Shard("train/new.parquet", "train", (old, ShardSource(part, (), 0, 1))))
    assert read_rows(tmp_path, file.path) == [row("2", "dog", 1, 2), row("9", "cat", 0, 9)]


def test_the_file_of_a_shard_does_not_depend_on_the_shards_before_it(
    tmp_path: Path, writer: ShardWriter
) -> None:
    part = stage(str(tmp_path / "p"), *((str(n), "dog", 0, "ok", n) for n in range(5)))
    sources = [ShardSource(part, (), 0, 2), ShardSource(part, (), 2, 3)]
    for number, source in enumerate(sources):
        writer.write(Shard(f"a{number}", "train", (source,)))
    fresh = ShardWriter(str(tmp_path), "/i", ["dog", "cat"], PIXELS)
    fresh.write(Shard("b1", "train", (sources[1],)))
    assert (tmp_path / "a1").read_bytes() == (tmp_path / "b1").read_bytes()


def test_neighbouring_shards_read_a_source_once(
    tmp_path: Path, writer: ShardWriter, monkeypatch: pytest.MonkeyPatch
) -> None:
    read_urls = []
    read_table = storage.read_table

    def record(url: str, columns: Optional[list[str]] = None) -> pa.Table:
        read_urls.append(url)
        return read_table(url, columns)

    monkeypatch.setattr(storage, "read_table", record)
    parts = [
        FileRows(stage(str(tmp_path / str(p)), *[("0", "dog", 0, "ok", 1)] * 5), "train", 5)
        for p in range(3)
    ]
    _, planned = shards.plan_shards(parts, dict.fromkeys(SPLITS, 2), "run")
    assert [writer.write(shard).rows for shard in planned] == [2, 2, 2, 2, 2, 2, 2, 1]
    assert read_urls == [part.url for part in parts]


def planned_shard(number: int, *num_rows: int) -> Shard:
    sources = tuple(ShardSource(f"p{n}", ("n",), 2, rows) for n, rows in enumerate(num_rows))
    return Shard(f"train/{number}", "train", sources)


@pytest.mark.parametrize(
    ("num_shards", "rows", "image_bytes", "expected"),
    [
        (24, 100, 4096, [24]),  # 10 MB
        (5, 4096, 4096, [1, 2, 2]),  # 80 MiB: 3 tasks of 32 MiB or less
        (65, 4096, 4096, [2] * 31 + [3]),  # about 1 GiB: 32 tasks
        (1024, 4096, 4096, [16] * 64),  # 256 MiB each
        (3, 1, 300 * MIB, [1, 1, 1]),  # no task without a shard
    ],
)
def test_neighbouring_shards_share_a_task(
    num_shards: int, rows: int, image_bytes: int, expected: list[int]
) -> None:
    planned = [planned_shard(number, rows) for number in range(num_shards)]
    tasks = shard_writer.group_by_task(planned, image_bytes)
    assert [shard for task in tasks for shard in task] == planned
    assert [len(task) for task in tasks] == expected


@given(st.lists(st.lists(st.integers(1, 9000), min_size=1, max_size=3), min_size=1, max_size=200))
def test_each_shard_is_written_by_one_task_in_order(num_rows: list[list[int]]) -> None:
    planned = [planned_shard(number, *rows) for number, rows in enumerate(num_rows)]
    tasks = shard_writer.group_by_task(planned, 4096)
    assert [shard for task in tasks for shard in task] == planned
    assert all(tasks)


def test_shards_are_written_by_spark_in_the_order_of_the_plan(
    spark: SparkSession, tmp_path: Path, writer: ShardWriter, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(shard_writer, "_MIN_TASK_BYTES", 2)
    splits = (0, 1, 0, 2, 0)
    part = stage(
        str(tmp_path / "p"), *((str(n), "cat", split, "ok", n) for n, split in enumerate(splits))
    )
    counts = dict(zip(SPLITS, (3, 1, 1)))
    file_rows = [FileRows(part, split, count) for split, count in counts.items()]
    _, planned = shards.plan_shards(file_rows, dict.fromkeys(SPLITS, 2), "run")
    files = write_shards(spark, writer, planned, "run")
    assert files == [writer.write(shard) for shard in planned]
    assert [(file.path, file.rows) for file in files] == [
        ("train/run-00000.parquet", 2),
        ("train/run-00001.parquet", 1),
        ("validation/run-00000.parquet", 1),
        ("test/run-00000.parquet", 1),
    ]
    assert read_rows(tmp_path, "train/run-00001.parquet") == [row("4", "cat", 1, 4)]


def test_a_killed_worker_does_not_change_the_shards(
    spark: SparkSession, tmp_path: Path, writer: ShardWriter
) -> None:
    mark = tmp_path / "mark"

    class DyingWriter(ShardWriter):
        def write(self, shard: Shard) -> ShardFile:
            if not mark.exists():
                # After the temporary file is written, before it is renamed.
                os.replace = lambda temporary, url: (  # type: ignore[assignment]
                    mark.write_text(os.path.basename(temporary)),
                    os.kill(os.getpid(), signal.SIGKILL),
                )
            return super().write(shard)

    part = stage(str(tmp_path / "p"), *((str(n), "cat", 0, "ok", n) for n in range(3)))
    _, planned = shards.plan_shards([FileRows(part, "train", 3)], dict.fromkeys(SPLITS, 2), "run")
    dying = DyingWriter(str(tmp_path), "/i", ["dog", "cat"], PIXELS)
    files = write_shards(spark, dying, planned, "run")
    assert re.fullmatch(r"\.tmp-[0-9a-f]+-run-00000\.parquet", mark.read_text())
    written = [(tmp_path / file.path).read_bytes() for file in files]
    assert files == [writer.write(shard) for shard in planned]
    assert written == [(tmp_path / file.path).read_bytes() for file in files]


def test_without_planned_shards_spark_is_not_used(writer: ShardWriter) -> None:
    no_session: Any = None
    assert write_shards(no_session, writer, [], "run") == []


def test_a_missing_source_is_named(spark: SparkSession, writer: ShardWriter) -> None:
    shard = Shard("train/a.parquet", "train", (ShardSource("/nowhere/part", (), 0, 1),))
    with pytest.raises(InputError, match=r"write: FileNotFoundError: .*/nowhere/part"):
        write_shards(spark, writer, [shard], "run")


@settings(max_examples=20)
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
        file_rows = []
        for number, part in enumerate(np.split(images, np.cumsum(parts)[:-1])):
            url = storage.join(root, f"{number}.parquet")
            rows = [
                ("/i/1", "cat", 0, "ok", "", image.tobytes(), 1, 1, 1, 1.5, digest("d"), 0)
                for image in part
            ]
            storage.write_table(url, table(PART, *rows))
            file_rows.append(FileRows(url, "train", len(part)))
        _, planned = shards.plan_shards(file_rows, dict.fromkeys(SPLITS, size), "run")
        writer = ShardWriter(
            root, "/images", ["cat"], PixelSpec(height_px=3, width_px=2, channels=channels)
        )
        files = [writer.write(shard) for shard in planned]
    assert [file.rows for file in files[:-1]] == [size] * (len(files) - 1)
    pixels = images.reshape(-1, channels)
    first = pixels[: files[0].rows * 6].astype(int)
    assert files[0].sums == tuple(first.sum(axis=0))
    assert files[0].square_sums == tuple((first**2).sum(axis=0))
    statistics = pixel_statistics.statistics_from_sums(
        len(pixels), [(file.sums, file.square_sums) for file in files]
    )
    np.testing.assert_allclose(statistics.mean, pixels.mean(axis=0), rtol=1e-12)
    np.testing.assert_allclose(statistics.deviation, pixels.std(axis=0), rtol=1e-9)


def stage_encoded(url: str, spec: PixelSpec, pixels: np.ndarray) -> FileRows:
    stored = [encode_pixels(image, spec) for image in pixels]
    rows = [("/i/1", "cat", 0, "ok", "", data, 1, 1, 1, 1.5, digest("d"), 0) for data in stored]
    storage.write_table(url, table(PART, *rows))
    return FileRows(url, "train", len(pixels))


def write_encoded(root: Path, spec: PixelSpec, pixels: np.ndarray) -> ShardFile:
    """Write one shard from two parts."""
    files = [
        stage_encoded(f"{root}/{number}.parquet", spec, part)
        for number, part in enumerate((pixels[:2], pixels[2:]))
    ]
    _, [planned] = shards.plan_shards(files, dict.fromkeys(SPLITS, len(pixels)), "run")
    return ShardWriter(str(root), "/images", ["cat"], spec).write(planned)


def test_digest_and_sums_are_of_the_decoded_pixels(tmp_path: Path) -> None:
    raw = PixelSpec(height_px=9, width_px=7, channels=3)
    jpeg, png = (raw.model_copy(update={"encoding": name}) for name in ("jpeg", "png"))
    pixels = np.random.default_rng(2).integers(0, 256, (5, 9, 7, 3), np.uint8)
    seen = np.stack([decode_pixels(encode_pixels(p, jpeg), jpeg) for p in pixels])
    expected = write_encoded(tmp_path / "raw", raw, pixels)
    of_png, of_jpeg, of_seen = (
        write_encoded(tmp_path / name, spec, rows)
        for name, spec, rows in (("png", png, pixels), ("jpeg", jpeg, pixels), ("seen", raw, seen))
    )
    assert of_png == replace(expected, size_bytes=of_png.size_bytes)
    assert of_jpeg == replace(of_seen, size_bytes=of_jpeg.size_bytes)
    assert of_jpeg.digest != expected.digest
    assert of_jpeg.sums == tuple(seen.reshape(-1, 3).sum(axis=0))
    for spec in (raw, png, jpeg):
        path = tmp_path / spec.encoding / expected.path
        written = storage.read_table(str(path))["image"].to_pylist()
        assert written == [encode_pixels(image, spec) for image in pixels]


def test_metadata_of_a_shard_state_the_encoding(tmp_path: Path) -> None:
    raw = PixelSpec(height_px=9, width_px=7, channels=3)
    pixels = np.zeros((5, 9, 7, 3), np.uint8)
    described = {"height": 9, "width": 7, "channels": 3, "dtype": "uint8"}
    for name, encoding in (("raw", {}), ("jpeg", {"encoding": "jpeg"})):
        spec = raw.model_copy(update={"encoding": name})
        path = write_encoded(tmp_path / name, spec, pixels).path
        metadata = pq.read_schema(tmp_path / name / path).metadata
        assert json.loads(metadata[b"image"]) == {**described, **encoding}


def test_a_damaged_image_is_named_with_its_source_and_its_row_there(tmp_path: Path) -> None:
    spec = PixelSpec(height_px=9, width_px=7, encoding="png")
    stored = encode_pixels(np.zeros((9, 7, 1), np.uint8), spec)
    url = f"{tmp_path}/train/old.parquet"
    rows = [
        (f"/i/{n}", "cat", 0, data, 1, 1, 1, 1.5, digest("d"), 0)
        for n, data in enumerate([stored, stored, stored, stored[:-9]])
    ]
    storage.write_table(url, table(schema.ROWS, *rows))
    notes = (note(f"{tmp_path}/notes.parquet", (0, DROPPED), (1, MOVED)),)
    shard = Shard("train/new.parquet", "train", (ShardSource(url, notes, 1, 1),))
    with pytest.raises(InputError) as caught:
        ShardWriter(str(tmp_path), "/i", ["cat"], spec).write(shard)
    assert str(caught.value).startswith(f"{url}: the image of row 3 is damaged (PNG chunk ends")
    assert not (tmp_path / "train" / "new.parquet").exists()


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
        written = storage.read_table(storage.join(dataset, file.path))
        pixels = np.frombuffer(b"".join(written[schema.IMAGE].to_pylist()), np.uint8)
        pixels = pixels.reshape(-1, 3).astype(int)
        assert file.sums == tuple(pixels.sum(axis=0))
        assert file.square_sums == tuple((pixels**2).sum(axis=0))
    assert manifest.read_manifest(dataset) == manifests[1]
