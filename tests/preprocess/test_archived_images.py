"""Datasets of images in archives, against those of the same images as files."""

from __future__ import annotations

import os
from collections import Counter
from pathlib import Path
from typing import Any, Callable

import h5py
import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from pyspark.sql import SparkSession

from conftest import DrawImages
from halftone import archives
from halftone.archives import ArchiveFile
from halftone.config import Config
from halftone.dataset import manifest
from halftone.dataset.previews import read_reject_previews
from halftone.errors import InputError
from halftone.export.tfrecord import export_dataset
from halftone.images import decode
from halftone.preprocess import staging
from halftone.preprocess.dry_run import estimate_preprocessing
from halftone.preprocess.entries import ENTRIES
from halftone.preprocess.named_changes import why_list_fully
from halftone.preprocess.run import PreprocessResult, preprocess
from halftone.spark.frames import create_frame
from packed_images import write_idx, write_tar, write_tfrecord, write_zip
from tables import table

MakeConfig = Callable[..., Config]
Run = Callable[..., PreprocessResult]


@pytest.fixture
def run(spark: SparkSession, tmp_path: Path, config: MakeConfig) -> Run:
    def run_preprocess(
        images: Path, dataset: str = "dataset", prune: bool = False, **settings: Any
    ) -> PreprocessResult:
        settings = {"max_reject_fraction": 0.5, "near_duplicates": "off", **settings}
        made = config(preprocess=settings)
        output = str(tmp_path / dataset)
        return preprocess(made, str(images), output, lambda: spark, prune=prune)

    return run_preprocess


def rows(dataset: Path) -> list[dict[str, Any]]:
    files = manifest.read_manifest(str(dataset)).files
    return [row for file in files for row in pq.read_table(dataset / file.path).to_pylist()]


def side_rows(dataset: Path, files: list[str]) -> list[dict[str, Any]]:
    return [row for file in files for row in pq.read_table(dataset / file).to_pylist()]


def contents(folder: Path) -> dict[str, bytes]:
    files = sorted(path for path in folder.rglob("*") if path.is_file())
    return {path.relative_to(folder).as_posix(): path.read_bytes() for path in files}


def pictures(dataset: Path) -> Counter[tuple[str, bytes, bytes, int]]:
    """What rows have whether their images are files or members."""
    names = ("label", "image", "source_digest", "source_bytes")
    return Counter(tuple(row[name] for name in names) for row in rows(dataset))


@pytest.fixture
def files(draw_images: DrawImages) -> dict[str, bytes]:
    """50 images of 2 classes, of which one is twice there, one is cut, and one a conflict."""
    folder = draw_images(each=24)
    (folder / "lying" / "copy.png").write_bytes((folder / "lying" / "0003.png").read_bytes())
    (folder / "lying" / "cut.png").write_bytes((folder / "lying" / "0004.png").read_bytes()[:500])
    (folder / "upright" / "other.png").write_bytes((folder / "lying" / "0005.png").read_bytes())
    return contents(folder)


@pytest.mark.slow
def test_archives_give_the_dataset_of_their_files(
    run: Run, files: dict[str, bytes], tmp_path: Path
) -> None:
    of_files, _ = run(tmp_path / "images", "files")
    packed = tmp_path / "packed"
    packed.mkdir()
    names = sorted(files)
    write_tar(packed / "a.tar", {name: files[name] for name in names[::2]})
    write_zip(packed / "b.zip", {name: files[name] for name in names[1::2]})
    data, num_read = run(packed)
    assert num_read == data.inputs == 51
    assert (data.rows, data.duplicates) == (47, 1)
    assert data.rejects_by_reason == {"truncated": 1, "conflict": 2}
    assert pictures(tmp_path / "dataset") == pictures(tmp_path / "files")
    assert data.labels == of_files.labels == ["lying", "upright"]
    archive_of = {name: ("a.tar", "b.zip")[number % 2] for number, name in enumerate(names)}
    keys = {f"{packed}/{archive}!{name}" for name, archive in archive_of.items()}
    rejects = side_rows(tmp_path / "dataset", data.rejects_files)
    duplicates = side_rows(tmp_path / "dataset", data.duplicates_files)
    assert {row["key"] for row in rows(tmp_path / "dataset")} == keys - {
        row["path"] for row in [*rejects, *duplicates]
    }
    previews = read_reject_previews(
        [str(tmp_path / "dataset" / file) for file in data.rejects_files],
        data.rejects_by_reason,
        data.pixels,
    )
    assert [(preview.reason, preview.pixels is not None) for preview in previews] == [
        ("conflict", True),
        ("conflict", True),
        ("truncated", True),
    ]
    assert run(packed) == (data, 0)


@pytest.mark.slow
def test_a_changed_archive_is_read_again_and_no_other(
    run: Run, files: dict[str, bytes], tmp_path: Path, config: MakeConfig
) -> None:
    packed = tmp_path / "packed"
    packed.mkdir()
    lying = {name: data for name, data in files.items() if name.startswith("lying/00")}
    upright = {name: data for name, data in files.items() if name.startswith("upright/00")}
    write_tar(packed / "lying.tar", lying)
    write_zip(packed / "upright.zip", upright)
    first, _ = run(packed)
    assert (first.rows, first.inputs) == (48, 48)
    reason = "48 images are in archives, which notifications name as a whole"
    assert why_list_fully(first, str(packed), config()) == reason
    removed = sorted(lying)[0]
    changed = {**lying, "lying/new.png": files["upright/other.png"][:-1] + b"x"}
    del changed[removed]
    write_tar(packed / "lying.tar", changed)
    os.utime(packed / "lying.tar", (2e9, 2e9))
    second, num_read = run(packed)
    assert num_read == 24
    assert (second.version, second.inputs) == (2, 49)
    kept = {row["key"] for row in rows(tmp_path / "dataset")}
    assert f"{packed}/lying.tar!{removed}" in kept
    third, num_read = run(packed, prune=True)
    assert (num_read, third.inputs) == (0, 48)
    assert f"{packed}/lying.tar!{removed}" not in {row["key"] for row in rows(tmp_path / "dataset")}


@pytest.mark.slow
def test_archives_with_labels_and_archives_named_like_classes(
    run: Run, files: dict[str, bytes], tmp_path: Path
) -> None:
    some = sorted(name for name in files if "/00" in name)
    shards = tmp_path / "shards"
    shards.mkdir()
    samples: dict[str, bytes] = {}
    for name in some:
        label = name.partition("/")[0]
        stem = name.replace("/", "-").removesuffix(".png")
        samples.update({f"{stem}.png": files[name], f"{stem}.cls": label.encode()})
    write_tar(shards / "train-000.tar", samples)
    data, _ = run(shards, "stored")
    assert data.counts["train"].keys() == {"lying", "upright"}
    assert data.ignored == {".cls": 48}
    by_class = tmp_path / "by-class"
    by_class.mkdir()
    for label in ("lying", "upright"):
        of_label = {n.partition("/")[2]: files[n] for n in some if n.startswith(label)}
        write_zip(by_class / f"{label}.zip", of_label)
    run(by_class, "named")
    assert pictures(tmp_path / "named") == pictures(tmp_path / "stored")
    with pytest.raises(InputError, match="all have the label 'train-000'"):
        run(shards, "by-path", archive_labels="path")


@pytest.mark.slow
def test_tables_hdf5_and_idx_files_give_the_dataset_of_their_files(
    run: Run, files: dict[str, bytes], tmp_path: Path
) -> None:
    some = {name: data for name, data in sorted(files.items()) if "/00" in name}
    for name in set(files) - set(some):
        (tmp_path / "images" / name).unlink()
    run(tmp_path / "images", "files")
    tables = tmp_path / "tables"
    tables.mkdir()
    images = [{"bytes": data, "path": name} for name, data in some.items()]
    labels = [name.partition("/")[0] for name in some]
    columns = pa.table({"image": images, "label": labels})
    pq.write_table(columns, tables / "train-00000-of-00001.parquet", row_group_size=10)
    data, num_read = run(tables)
    assert (num_read, data.rows, data.rejects) == (48, 48, 0)
    assert pictures(tmp_path / "dataset") == pictures(tmp_path / "files")
    assert run(tables) == (data, 0)
    columns = pa.table({"image": images[:1], "label": ["upright"]})
    pq.write_table(columns.slice(0, 0), tables / "none.parquet")
    more = {"image": [{"bytes": images[0]["bytes"][:400], "path": "x"}], "label": ["lying"]}
    pq.write_table(pa.table(more), tables / "more.parquet")
    data, num_read = run(tables)
    assert (num_read, data.rows, data.rejects_by_reason) == (1, 48, {"truncated": 1})
    with h5py.File(tables / "all.h5", "w") as file:
        stored = file.create_dataset("images", len(some), h5py.vlen_dtype(np.uint8))
        for number, content in enumerate(some.values()):
            stored[number] = np.frombuffer(content, np.uint8)
        file["labels"] = labels
    for path in tables.glob("*.parquet"):
        path.unlink()
    data, num_read = run(tables, "hdf5")
    assert (num_read, data.rows, data.archived) == (48, 48, 48)
    assert pictures(tmp_path / "hdf5") == pictures(tmp_path / "files")
    digits = tmp_path / "digits"
    digits.mkdir()
    rng = np.random.default_rng(1)
    pixels = {}
    for split in ("train", "t10k"):
        pixels[split] = rng.integers(0, 255, (30, 16, 16), dtype=np.uint8)
        write_idx(digits, pixels[split], [number % 3 for number in range(30)], split)
    data, _ = run(digits, "digits-dataset")
    assert (data.rows, data.labels) == (60, ["0", "1", "2"])
    found = {row["key"]: row for row in rows(tmp_path / "digits-dataset")}
    for split, array in pixels.items():
        for number in range(30):
            row = found[f"{digits}/{split}-images-idx3-ubyte!{number:08d}"]
            assert (row["image"], row["label"]) == (array[number].tobytes(), str(number % 3))
    assert sum(data.counts["test"].values()) == 30


@pytest.mark.slow
def test_tfrecord_files_and_an_export_give_the_dataset_of_their_files(
    run: Run, files: dict[str, bytes], spark: SparkSession, tmp_path: Path
) -> None:
    of_files, _ = run(tmp_path / "images", "files")
    records: list[dict[str, list[Any]]] = [
        {"image/encoded": [data], "image/class/text": [name.partition("/")[0].encode()]}
        for name, data in sorted(files.items())
    ]
    folder = tmp_path / "records"
    folder.mkdir()
    write_tfrecord(folder / "train-00000-of-00002", records[::2])
    write_tfrecord(folder / "x.tfrecord-00001-of-00002", records[1::2])
    data, num_read = run(folder)
    assert (num_read, data.rejects_by_reason) == (51, {"truncated": 1, "conflict": 2})
    assert pictures(tmp_path / "dataset") == pictures(tmp_path / "files")
    # The export has pixels.
    export_dataset(str(tmp_path / "files"), str(tmp_path / "export"), "", lambda: spark)
    found: Counter[tuple[str, bytes]] = Counter()
    for path in (tmp_path / "export").rglob("*.tfrecord"):
        listed = list(archives.list_members(ArchiveFile(str(path), path.stat().st_size)))
        images = archives.read_members(str(path), [member.place for member in listed])
        for member, image in zip(listed, images):
            assert isinstance(image, bytes)
            found[member.label, decode(image, of_files.pixels).pixels.tobytes()] += 1
    assert found == Counter((row["label"], row["image"]) for row in rows(tmp_path / "files"))
    assert sum(found.values()) == of_files.rows == 47


def test_a_dry_run_counts_the_images_of_archives(
    spark: SparkSession, files: dict[str, bytes], tmp_path: Path, config: MakeConfig
) -> None:
    (tmp_path / "packed").mkdir()
    write_tar(tmp_path / "packed" / "a.tar", {n: data for n, data in files.items() if "/00" in n})
    estimate = estimate_preprocessing(config(), str(tmp_path / "packed"), lambda: spark)
    assert (estimate.num_images, estimate.num_sampled, estimate.rejects) == (48, 48, {})


def test_large_equal_ends_in_an_archive_are_told_apart(run: Run, tmp_path: Path) -> None:
    """Of images over 16 KiB, the middle is compared too, in archives as in files."""
    header = b"P5 200 200 255\n"
    middle = [bytes([level]) * 20_000 for level in (10, 200, 10)]
    pixels = [header + bytes(10_000) + each + bytes(10_000) for each in middle]
    (tmp_path / "packed").mkdir()
    members = {f"cat/{number}.pgm": data for number, data in enumerate(pixels)}
    others = {f"dog/{n}.pgm": b"P5 2 2 255\n" + bytes([n, 90, n, 200]) for n in range(20)}
    others.update({f"cat/more-{n}.pgm": b"P5 2 2 255\n" + bytes([n, 9, n, 99]) for n in range(20)})
    write_tar(tmp_path / "packed" / "a.tar", {**members, **others})
    data, _ = run(tmp_path / "packed")
    (duplicate,) = side_rows(tmp_path / "dataset", data.duplicates_files)
    assert duplicate["path"].endswith("a.tar!cat/2.pgm")
    assert duplicate["kept_path"].endswith("a.tar!cat/0.pgm")


def test_blocks_have_neighbours_of_archives(spark: SparkSession) -> None:
    entries = [
        (f"/i/a.tar!{n}", f"a.tar!{n}", "cat", 0, 9, 1.5, n * 2**50, "", "", f"{n} 5 {512 * n} 9")
        for n in range(160)
    ]
    files = [(f"/i/{n}", f"{n}", "cat", 0, 9, 1.5, n * 2**50, "", "", "") for n in range(8)]
    frame = create_frame(spark, table(ENTRIES, *entries, *files), 3)
    collected = staging.group_by_block(frame, 4, 160).collect()
    assert set(collected[0].asDict()) == {*ENTRIES.names, "block"}
    found = [(row.block, int(row.path[6:])) for row in collected if row.member_place]
    assert Counter(block for block, _ in found) == dict.fromkeys(range(4), 40)
    for block in range(4):
        numbers = [number for of_block, number in found if of_block == block]
        assert numbers == sorted(numbers)
        starts = numbers[::10]
        assert numbers == [start + step for start in starts for step in range(10)]
    assert [row.block for row in collected if not row.member_place] == [2, 2, 2, 2, 2, 2, 2, 2]
