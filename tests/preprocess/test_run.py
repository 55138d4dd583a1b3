"""preprocess with real Spark, on small drawn images."""

from __future__ import annotations

import json
import os
import re
import shutil
import signal
from dataclasses import replace
from pathlib import Path
from typing import Any, Callable

import cv2
import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from pyspark.sql import SparkSession

from conftest import DrawImages, stripes
from halftone.card.data_card import render_data_card
from halftone.config import Config
from halftone.dataset import manifest, schema
from halftone.dataset.plain_reads import GUARD
from halftone.errors import InputError
from halftone.feed import row_groups
from halftone.locking.lock import LockHeldError
from halftone.locking.output import hold_output
from halftone.preprocess import duplicates, side_tables, similar_images, staging
from halftone.preprocess import run as run_module
from halftone.preprocess.run import PreprocessResult, preprocess
from halftone.spark import frames, local_frame
from halftone.summary import format_dataset_summary

MakeConfig = Callable[..., Config]


@pytest.fixture
def run(spark: SparkSession, tmp_path: Path, config: MakeConfig) -> Callable[..., PreprocessResult]:
    """A function that preprocesses a folder into tmp_path/dataset."""

    def run_preprocess(
        images: Path,
        dataset: str = "dataset",
        *,
        retry_rejects: bool = False,
        prune: bool = False,
        **settings: Any,
    ) -> PreprocessResult:
        return preprocess(
            config(**settings),
            str(images),
            str(tmp_path / dataset),
            lambda: spark,
            retry_rejects=retry_rejects,
            prune=prune,
        )

    return run_preprocess


Run = Callable[..., PreprocessResult]


def rows(dataset: Path, split: str | None = None) -> list[dict[str, Any]]:
    files = manifest.read_manifest(str(dataset)).files
    return [
        row
        for file in files
        if split in (None, file.split)
        for row in pq.read_table(dataset / file.path).to_pylist()
    ]


def tree(root: Path) -> dict[str, bytes]:
    """The contents of all files below `root` but those of its lock, by relative path."""
    return {
        str(path.relative_to(root)): path.read_bytes()
        for path in sorted(root.rglob("*"))
        if path.is_file() and path.parent.name != "_lock"
    }


def test_every_image_becomes_a_row_with_its_pixels(
    run: Run, draw_images: DrawImages, tmp_path: Path
) -> None:
    images = draw_images(each=20)
    data, num_read = run(images)
    assert num_read == 40
    assert (data.inputs, data.rows, data.rejects, data.duplicates) == (40, 40, 0, 0)
    assert data.labels == ["lying", "upright"]
    row_of = {row["key"]: row for row in rows(tmp_path / "dataset")}
    assert set(row_of) == {str(path) for path in images.rglob("*.png")}
    key = str(images / "upright" / "0003.png")
    row = row_of[key]
    assert row["label"] == "upright"
    assert row["label_id"] == 1
    assert (row["source_height_px"], row["source_width_px"]) == (40, 48)
    assert row["source_bytes"] == os.path.getsize(key)
    expected = cv2.resize(stripes(1, seed=1003), (16, 16), interpolation=cv2.INTER_AREA)
    pixels = np.frombuffer(row["image"], np.uint8).reshape(16, 16)
    np.testing.assert_array_equal(pixels, expected)


def test_the_manifest_names_every_file_with_its_rows_and_size(
    run: Run, draw_images: DrawImages, tmp_path: Path
) -> None:
    data, _ = run(draw_images(each=20), splits={"validation_fraction": 0.2, "test_fraction": 0.2})
    raw = json.loads((tmp_path / "dataset" / "manifest.json").read_text())
    assert raw["schema"] == 1
    assert raw["rows"] == sum(file["rows"] for file in raw["files"]) == 40
    for file in raw["files"]:
        metadata = pq.ParquetFile(tmp_path / "dataset" / file["path"]).metadata
        assert metadata.num_rows == file["rows"]
        assert metadata.num_row_groups == 1
        assert os.path.getsize(tmp_path / "dataset" / file["path"]) == file["size_bytes"]
        assert file["path"].startswith(file["split"] + "/")
    on_disk = {
        str(p.relative_to(tmp_path / "dataset")) for p in (tmp_path / "dataset").rglob("*.*")
    }
    named = {file["path"] for file in raw["files"]} | set(raw["near_duplicates_files"])
    named.add(raw["contact_sheet"])
    named |= {"data_card.md", "data_card.html"}
    named |= {"manifest.json", "_versions/000001.json", "_lock/000001.json"}
    # Tables of all rows, and of each folder.
    folders = {f"{path.partition('/')[0]}/" for path in raw["near_duplicates_files"]}
    folders |= {"", "train/", "validation/", "test/"}
    tables = [f"{folder}_delta_log" for folder in folders]
    log = {f"{table}/{version:020d}.json" for table in tables for version in (0, 1)}
    assert on_disk == named | log
    for split in ("train", "validation", "test"):
        by_label = [row["label"] for row in rows(tmp_path / "dataset", split)]
        assert data.counts[split] == {name: by_label.count(name) for name in data.labels}


def test_unreadable_images_become_rejects_with_a_reason(
    run: Run, draw_images: DrawImages, tmp_path: Path
) -> None:
    images = draw_images(each=20)
    (images / "lying" / "empty.jpg").write_bytes(b"")
    (images / "lying" / "text.jpg").write_bytes(b"no image at all")
    ok, jpeg = cv2.imencode(".jpg", stripes(0, seed=5))
    assert ok
    (images / "upright" / "cut.jpg").write_bytes(jpeg.tobytes()[:-200])
    (images / "upright" / "gone.jpg").symlink_to(images / "nowhere")
    data, _ = run(images, preprocess={"max_reject_fraction": 0.2})
    assert (data.inputs, data.rows, data.rejects) == (44, 40, 4)
    [name] = data.rejects_files
    rejects = {row["path"]: row for row in pq.read_table(tmp_path / "dataset" / name).to_pylist()}
    assert {os.path.basename(path): row["reason"] for path, row in rejects.items()} == {
        "empty.jpg": "empty",
        "text.jpg": "not_an_image",
        "cut.jpg": "truncated",
        "gone.jpg": "unreadable",
    }
    text = rejects[str(images / "lying" / "text.jpg")]
    assert text["size_bytes"] == 15
    assert rejects[str(images / "upright" / "gone.jpg")]["detail"] == (
        f"a dangling link: {images}/nowhere does not exist"
    )
    assert data.rejects_by_reason == {
        "empty": 1,
        "not_an_image": 1,
        "truncated": 1,
        "unreadable": 1,
    }


def test_too_many_rejects_fail_before_anything_is_published(
    run: Run, draw_images: DrawImages, tmp_path: Path
) -> None:
    images = draw_images(each=4)
    (images / "lying" / "bad.png").write_bytes(b"")
    with pytest.raises(InputError) as caught:
        run(images)
    assert str(caught.value) == (
        f"{images}: 1 of 9 images are rejected (11.1%: 1 empty), preprocess.max_reject_fraction "
        f"is 0.05; nothing was published. The first: {images}/lying/bad.png: empty, "
        "0 bytes. empty: copy the files again from their source. Or raise "
        "preprocess.max_reject_fraction"
    )
    assert not (tmp_path / "dataset" / "manifest.json").exists()
    data, _ = run(images, preprocess={"max_reject_fraction": 0.2})
    assert data.rejects == 1


def test_exact_duplicates_are_kept_once_and_two_labels_are_a_conflict(
    run: Run, draw_images: DrawImages, tmp_path: Path
) -> None:
    images = draw_images(each=20)
    shutil.copy(images / "lying" / "0000.png", images / "lying" / "copy.png")
    shutil.copy(images / "lying" / "0001.png", images / "upright" / "liar.png")
    data, _ = run(images)
    assert (data.inputs, data.rows, data.rejects, data.duplicates) == (42, 39, 2, 1)
    [name] = data.duplicates_files
    [duplicate] = pq.read_table(tmp_path / "dataset" / name).to_pylist()
    assert duplicate["path"] == str(images / "lying" / "copy.png")
    assert duplicate["kept_path"] == str(images / "lying" / "0000.png")
    [name] = data.rejects_files
    first, second = pq.read_table(tmp_path / "dataset" / name).to_pylist()
    assert first["path"] == str(images / "lying" / "0001.png")
    assert first["reason"] == second["reason"] == "conflict"
    assert first["detail"] == (
        f"label 'lying', but {images}/upright/liar.png has the same bytes and label 'upright'"
    )


def test_files_with_equal_partial_digests_are_compared_whole(
    run: Run, draw_images: DrawImages, tmp_path: Path
) -> None:
    images = draw_images(each=20)
    rng = np.random.default_rng(1)
    # BMP is not compressed: images that differ in the middle share both ends.
    first = rng.integers(0, 256, (200, 300), np.uint8)
    second = first.copy()
    second[100, 150] ^= 1
    for name, picture in (("first", first), ("second", second), ("third", first)):
        cv2.imwrite(str(images / "lying" / f"{name}.bmp"), picture)
    data, _ = run(images)
    assert (data.inputs, data.rows, data.duplicates) == (43, 42, 1)
    [name] = data.duplicates_files
    [duplicate] = pq.read_table(tmp_path / "dataset" / name).to_pylist()
    assert duplicate["path"] == str(images / "lying" / "third.bmp")
    assert duplicate["kept_path"] == str(images / "lying" / "first.bmp")


def test_the_same_input_gives_the_same_bytes_in_any_folder(
    run: Run, draw_images: DrawImages, tmp_path: Path
) -> None:
    images = draw_images(each=40)
    first, _ = run(images, "one")
    second, _ = run(images, "two")
    assert first.fingerprint == second.fingerprint
    assert data_files(tmp_path / "one") == data_files(tmp_path / "two")


@pytest.mark.parametrize(("tasks", "blocks"), [(1, 4), (3, 20), (7, 7)])
def test_the_numbers_of_tasks_and_blocks_do_not_change_the_files(
    run: Run,
    draw_images: DrawImages,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    tasks: int,
    blocks: int,
) -> None:
    images = draw_images(each=60)
    shutil.copy(images / "lying" / "0000.png", images / "lying" / "copy.png")
    (images / "lying" / "empty.png").write_bytes(b"")
    expected, _ = run(images, "expected")
    monkeypatch.setattr(staging, "_MIN_TASKS", tasks)
    monkeypatch.setattr(staging, "_BLOCKS_PER_TASK", blocks)
    monkeypatch.setattr(staging, "_TARGET_BLOCKS", blocks)
    monkeypatch.setattr(staging, "_MIN_BLOCK", 1)
    monkeypatch.setattr(duplicates, "_ROWS_PER_PARTITION", 120 // tasks)
    monkeypatch.setattr(similar_images, "_ROWS_PER_PARTITION", 120 // tasks)
    data, _ = run(images)
    assert data.fingerprint == expected.fingerprint
    assert data_files(tmp_path / "dataset") == data_files(tmp_path / "expected")


def test_steps_on_few_images_give_the_same_files_as_spark(
    run: Run, draw_images: DrawImages, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    draw_images("images/train", each=30)
    images = draw_images("images/test", each=45, start=30).parent
    near_pictures(images)
    settings = {
        "splits": {"from_path": "^([a-z]+)/", "validation_fraction": 0.1},
        "preprocess": {
            "near_duplicates": "drop",
            "max_near_duplicate_fraction": 1.0,
            "max_reject_fraction": 0.5,
        },
    }

    def run_both_ways(**options: bool) -> manifest.Manifest:
        data, _ = run(images, "few", **settings, **options)
        with monkeypatch.context() as patch:
            patch.setattr(local_frame, "MAX_LOCAL_ROWS", -1)
            in_spark, _ = run(images, "many", **settings, **options)
        times = {"created": data.created, "listed": data.listed}
        assert in_spark.model_copy(update=times) == data
        assert data_files(tmp_path / "many") == data_files(tmp_path / "few")
        return data

    lying, upright = images / "train/lying", images / "train/upright"
    for source, target in ((0, lying / "copy.png"), (1, upright / "liar.png")):
        shutil.copy(lying / f"{source:04d}.png", target)
    (lying / "bad.png").write_bytes(b"")
    data = run_both_ways()
    assert (data.inputs, data.rows, data.rejects, data.duplicates) == (95, 81, 3, 11)
    assert (data.near_duplicates, data.possible_label_errors) == (10, 0)
    assert len(data.conflict_labels) == 32
    # A kept row is removed, a duplicate is added, and the conflict is resolved.
    (lying / "0000.png").unlink()
    (upright / "liar.png").unlink()
    shutil.copy(lying / "0005.png", lying / "copy-of-5.png")
    data = run_both_ways(prune=True)
    assert (data.version, data.rejects, data.conflict_labels) == (2, 1, "")


def test_the_fingerprint_depends_on_the_rows_and_not_on_the_folder(
    run: Run, draw_images: DrawImages, tmp_path: Path
) -> None:
    images = draw_images(each=20)
    first, _ = run(images, "one")
    moved = images.rename(tmp_path / "moved")
    second, _ = run(moved, "two")
    assert first.fingerprint == second.fingerprint
    (moved / "lying" / "0000.png").unlink()
    third, _ = run(moved, "three")
    assert third.fingerprint != first.fingerprint


def data_files(dataset: Path) -> dict[str, bytes]:
    return {name: data for name, data in tree(dataset).items() if name.endswith(".parquet")}


def names_of(rows_: list[dict[str, Any]]) -> set[str]:
    return {"/".join(Path(row["key"]).parts[-2:]) for row in rows_}


def test_a_second_run_without_changes_reads_no_image_and_writes_nothing(
    run: Run, draw_images: DrawImages, config: MakeConfig, monkeypatch: pytest.MonkeyPatch
) -> None:
    images = draw_images(each=20)
    dataset = images / "dataset"  # below the images: its contact sheet is none of them
    first, _ = run(images, "images/dataset")
    before = tree(dataset)

    def no_work(*_: object) -> None:
        raise AssertionError("there is work")

    monkeypatch.setattr(run_module, "decide_outcome", no_work)
    monkeypatch.setattr(staging, "stage_images", no_work)
    result = run(images, "images/dataset")
    assert result == (first, 0)
    lines = format_dataset_summary(first, str(dataset), result[1]).splitlines()
    assert "40 images = 40 rows + 0 rejects + 0 duplicates" in lines
    assert "nothing new: no image was added or changed since the last run" in lines
    (dataset / first.contact_sheet).unlink()  # it is drawn again
    assert run(images, "images/dataset") == (first, 0)
    assert tree(dataset) == before

    def no_spark() -> SparkSession:
        raise AssertionError("Spark was started")

    assert preprocess(config(), str(images), str(dataset), no_spark) == (first, 0)
    with hold_output(str(dataset), "preprocess"), pytest.raises(LockHeldError):
        preprocess(config(), str(images), str(dataset), no_spark)
    (dataset / first.files[0].path).unlink()
    with pytest.raises(InputError) as caught:
        preprocess(config(), str(images), str(dataset), no_spark)
    assert str(caught.value) == (
        f"{dataset}: {first.files[0].path} is missing; restore it from a backup, or "
        "remove the dataset and run jobs/preprocess.py again"
    )


def test_the_data_card_is_that_of_the_manifest(
    run: Run, draw_images: DrawImages, tmp_path: Path
) -> None:
    images, path = draw_images(each=10), tmp_path / "dataset" / "data_card.md"
    first, _ = run(images, card={"licence": "mit"})
    assert path.read_text() == render_data_card(first)
    assert path.read_text().startswith("---\nlicense: mit\n")
    # Other texts change neither rows nor version, and read no image.
    second, num_read = run(images, card={"licence": "mit", "contact": "Ann"})
    assert (num_read, second.version, second.fingerprint) == (0, 1, first.fingerprint)
    assert manifest.read_manifest(str(tmp_path / "dataset")) == second
    assert "Contact: Ann" in path.read_text()
    path.unlink()
    run(images, card={"licence": "mit", "contact": "Ann"})
    assert path.read_text() == render_data_card(second)
    assert (first.images_description, "synthetic" in path.read_text()) == ("", False)
    # So does the description of drawn images. It stays if its file is removed.
    (images / "sample.json").write_text('{"what": "synthetic: drawn"}')
    for _ in range(2):
        third, num_read = run(images)
        assert (num_read, third.version, third.fingerprint) == (0, 1, first.fingerprint)
        assert third.images_description == "synthetic: drawn"
        assert "- the images are synthetic: drawn; numbers on them do not" in path.read_text()
        (images / "sample.json").unlink(missing_ok=True)


def test_only_new_images_are_read_and_existing_files_stay(
    run: Run, draw_images: DrawImages, tmp_path: Path
) -> None:
    images = draw_images(each=20)
    first, _ = run(images)
    before = data_files(tmp_path / "dataset")
    split_of = {
        row["key"]: file.split for file in first.files for row in shard_rows(tmp_path, file)
    }
    for path in list(images.rglob("*.png"))[:10]:
        path.chmod(0o000)  # known images are not read again
    draw_images(each=25, start=20)
    data, num_read = run(images)
    assert (num_read, data.version, data.inputs, data.rows) == (10, 2, 50, 50)
    after = data_files(tmp_path / "dataset")
    assert {name: after[name] for name in before} == before
    assert len(names_of(rows(tmp_path / "dataset"))) == 50
    now = {row["key"]: file.split for file in data.files for row in shard_rows(tmp_path, file)}
    assert {key: now[key] for key in split_of} == split_of
    assert data.fingerprint != first.fingerprint


OLD_ROWS = pa.schema(
    [
        pa.field("key", pa.string(), nullable=False),
        pa.field("label", pa.string(), nullable=False),
        pa.field("label_id", pa.int32(), nullable=False),
        pa.field("image", pa.binary(), nullable=False),
        pa.field("source_height_px", pa.int32(), nullable=False),
        pa.field("source_width_px", pa.int32(), nullable=False),
        pa.field("source_bytes", pa.int64(), nullable=False),
        pa.field("source_modified", pa.float64(), nullable=False),
        pa.field("source_digest", pa.binary(16), nullable=False),
        pa.field("perceptual_hash", pa.int64(), nullable=False),
    ]
)


def test_a_dataset_of_an_older_version_is_extended_and_read(
    run: Run, draw_images: DrawImages, tmp_path: Path
) -> None:
    settings = {"preprocess": {"rows_per_shard": 8}}
    images = draw_images(each=20)
    before, _ = run(images, **settings)
    old_files = []
    for file in before.files:
        path = tmp_path / "dataset" / file.path
        old = pa.Table.from_pylist(pq.read_table(path).to_pylist(), OLD_ROWS)
        pq.write_table(old, path, row_group_size=file.rows)
        old_files.append(replace(file, size_bytes=path.stat().st_size))
    old_manifest = before.model_copy(update={"files": old_files})
    manifest.publish_manifest(str(tmp_path / "dataset"), old_manifest)
    draw_images(each=25, start=20)
    data, num_read = run(images, **settings)
    run(images, "new", **settings)
    assert (num_read, data.rows) == (10, 50)
    train = manifest.read_shards(str(tmp_path / "dataset"), data, "train")
    shapes = [
        (pq.read_schema(tmp_path / "dataset" / file.path).metadata or {}).get(b"image")
        for file in train
    ]
    shape = b'{"height": 16, "width": 16, "channels": 1, "dtype": "uint8"}'
    assert set(shapes) == {None, shape}  # old shards that are full stay
    assert shapes[-1] == shape
    digests = {row["key"]: row["source_digest"] for row in rows(tmp_path / "dataset")}
    assert digests == {row["key"]: row["source_digest"] for row in rows(tmp_path / "new")}
    # The feed of a training reads old and new shards alike.
    urls = [str(tmp_path / "dataset" / file.path) for file in train]
    pixels = [
        image
        for table in row_groups.read_tables(urls, [schema.IMAGE, schema.LABEL_ID])
        for image in table[schema.IMAGE].to_pylist()
    ]
    assert pixels == [row["image"] for row in rows(tmp_path / "dataset", "train")]


def shard_rows(tmp_path: Path, file: manifest.ShardFile) -> list[dict[str, Any]]:
    return pq.read_table(tmp_path / "dataset" / file.path).to_pylist()


def test_shards_stay_equal_while_a_dataset_grows(
    run: Run, draw_images: DrawImages, tmp_path: Path
) -> None:
    settings = {"preprocess": {"rows_per_shard": 7}}
    images = draw_images(each=20)
    full: set[str] = set()
    for end in (24, 31, 40):
        draw_images(each=end, start=end - 7)
        data, _ = run(images, **settings)
        for split in ("train", "validation", "test"):
            counts = [file.rows for file in data.files if file.split == split]
            assert counts[:-1] == [7] * len(counts[:-1])
            assert sum(counts) == sum(data.counts[split].values())
        assert full <= {file.path for file in data.files}  # a full shard is never rewritten
        full = {file.path for file in data.files if file.rows == 7}


def test_files_of_the_previous_version_stay_and_older_ones_are_removed(
    run: Run, draw_images: DrawImages, tmp_path: Path
) -> None:
    images = draw_images(each=20)
    versions = []
    for end in (25, 30, 35):
        draw_images(each=end, start=end - 5)
        versions.append(run(images)[0])
    on_disk = set(data_files(tmp_path / "dataset"))
    previous, newest = (
        {file.path for file in data.files} | set(data.near_duplicates_files)
        for data in versions[1:]
    )
    folders = {path.partition("/")[0] for path in previous - newest}
    assert folders >= {"train", "near_duplicates"}
    assert on_disk == previous | newest | {f"{folder}/{GUARD}" for folder in folders}
    assert sorted(os.listdir(tmp_path / "dataset" / "_versions")) == ["000002.json", "000003.json"]


def test_a_changed_image_replaces_its_row(
    run: Run, draw_images: DrawImages, tmp_path: Path
) -> None:
    images = draw_images(each=20)
    first, _ = run(images)
    changed = images / "lying" / "0003.png"
    cv2.imwrite(str(changed), stripes(0, seed=99))
    data, num_read = run(images)
    assert (num_read, data.rows, data.rejects) == (1, 40, 0)
    [row] = [row for row in rows(tmp_path / "dataset") if row["key"] == str(changed)]
    expected = cv2.resize(stripes(0, seed=99), (16, 16), interpolation=cv2.INTER_AREA)
    assert row["image"] == expected.tobytes()
    assert {file.path for file in first.files} - {file.path for file in data.files}


def test_missing_images_are_kept_until_they_are_pruned(
    run: Run, draw_images: DrawImages, tmp_path: Path
) -> None:
    images = draw_images(each=20)
    shutil.copy(images / "lying" / "0000.png", images / "lying" / "copy.png")
    (images / "upright" / "empty.png").write_bytes(b"")
    run(images)
    for name in ("lying/0000.png", "upright/0001.png", "upright/empty.png"):
        (images / name).unlink()
    data, num_read = run(images)
    assert (num_read, data.version, data.inputs) == (0, 1, 42)
    draw_images(each=21, start=20)
    data, num_read = run(images)
    assert (num_read, data.rows, data.rejects, data.duplicates, data.gone) == (2, 42, 1, 1, 3)
    pruned, num_read = run(images, prune=True)
    # The copy was a duplicate of a missing image, and becomes a row.
    assert (num_read, pruned.rows, pruned.rejects, pruned.duplicates, pruned.gone) == (
        1,
        41,
        0,
        0,
        0,
    )
    assert "lying/copy.png" in names_of(rows(tmp_path / "dataset"))
    assert "upright/0001.png" not in names_of(rows(tmp_path / "dataset"))


def test_a_missing_duplicate_is_removed_when_its_row_changes(
    run: Run, draw_images: DrawImages, tmp_path: Path
) -> None:
    images = draw_images(each=20)
    shutil.copy(images / "lying" / "0000.png", images / "lying" / "copy.png")
    run(images)
    (images / "lying" / "copy.png").unlink()
    cv2.imwrite(str(images / "lying" / "0000.png"), stripes(0, seed=99))
    data, num_read = run(images)
    assert (num_read, data.inputs, data.rows, data.duplicates, data.gone) == (1, 40, 40, 0, 0)


def test_a_row_that_loses_its_label_becomes_a_reject(
    run: Run, draw_images: DrawImages, tmp_path: Path
) -> None:
    images = draw_images(each=20)
    shutil.copy(images / "lying" / "0000.png", images / "lying" / "copy.png")
    labels = {f"{path.parent.name}/{path.name}": path.parent.name for path in images.rglob("*.*")}
    settings = {"preprocess": {"catalogue": str(tmp_path / "list.csv")}}

    def write_list() -> None:
        lines = [f"{path},{label}" for path, label in labels.items()]
        (tmp_path / "list.csv").write_text("\n".join(["path,label", *lines]))

    write_list()
    first, _ = run(images, **settings)
    assert (first.rows, first.rejects, first.duplicates) == (40, 0, 1)
    labels["lying/0000.png"] = ""
    write_list()
    data, num_read = run(images, **settings)
    # Its duplicate becomes a row.
    assert (num_read, data.inputs, data.rows, data.rejects, data.duplicates) == (1, 41, 40, 1, 0)
    assert data.rejects_by_reason == {"unlabelled": 1}
    assert "lying/copy.png" in names_of(rows(tmp_path / "dataset"))
    assert run(images, **settings) == (data, 0)


def test_corrections_in_a_table_move_rows_without_reading_images(
    run: Run, draw_images: DrawImages, tmp_path: Path
) -> None:
    images = draw_images(each=20)
    shutil.copy(images / "lying" / "0001.png", images / "upright" / "liar.png")
    paths = sorted(f"{path.parent.name}/{path.name}" for path in images.rglob("*.*"))
    table = {path: [path.partition("/")[0], "train"] for path in paths}
    table["lying/0005.png"][1] = table["upright/0005.png"][1] = "val"
    settings = {"preprocess": {"catalogue": str(tmp_path / "list.csv"), "max_reject_fraction": 0.1}}

    def write_list() -> None:
        lines = [",".join([path, *cells]) for path, cells in table.items()]
        (tmp_path / "list.csv").write_text("\n".join(["path,label,split", *lines]))

    write_list()
    first, _ = run(images, **settings)
    assert first.rejects_by_reason == {"conflict": 2}
    assert (first.used_columns, first.moved) == (["label", "split"], 0)
    before = {row["key"]: row for row in rows(tmp_path / "dataset")}
    # The label that made the conflict is corrected: both images are read again.
    table["upright/liar.png"][0] = "lying"
    write_list()
    data, num_changed = run(images, **settings)
    assert (num_changed, data.moved, data.rejects, data.duplicates) == (2, 0, 0, 1)
    table["lying/0003.png"][0] = "upright"
    table["upright/0004.png"][1] = "test"
    table["lying/0007.png"] = ["third", "val"]
    write_list()
    images.rename(tmp_path / "away")  # a table without sizes shows no change of the files
    data, num_changed = run(images, **settings)
    assert (num_changed, data.moved, data.rows, data.inputs) == (3, 3, 40, 41)
    assert data.labels == ["lying", "upright", "third"]
    now = {
        "/".join(Path(row["key"]).parts[-2:]): (row["label"], row["label_id"], file.split)
        for file in data.files
        for row in shard_rows(tmp_path, file)
    }
    assert len(now) == 40
    assert now["lying/0003.png"] == ("upright", 1, "train")
    assert now["upright/0004.png"] == ("upright", 1, "test")
    assert now["lying/0007.png"] == ("third", 2, "validation")
    assert now["lying/0005.png"] == ("lying", 0, "validation")
    for row in rows(tmp_path / "dataset"):
        if row["key"] in before:
            kept = {name: row[name] for name in row if name not in ("label", "label_id")}
            assert kept == {name: before[row["key"]][name] for name in kept}
    assert run(images, **settings) == (data, 0)
    # A class that has no rows any more leaves with --prune; no image is read for that either.
    table["lying/0007.png"] = ["lying", "train"]
    write_list()
    data, _ = run(images, **settings)
    assert data.empty_labels() == ["third"]
    data, num_changed = run(images, prune=True, **settings)
    assert (data.labels, num_changed) == (["lying", "upright"], 0)


def test_the_first_lines_tell_that_labels_do_not_come_from_the_table(
    config: MakeConfig, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    url = tmp_path / "list.csv"
    url.write_text("path,klass\na/1.png,x\nb/2.png,y\n")

    def no_spark() -> SparkSession:
        raise InputError("Spark was started")

    settings = config(preprocess={"catalogue": str(url)})
    with pytest.raises(InputError, match="Spark was started"):
        preprocess(settings, str(tmp_path), str(tmp_path / "dataset"), no_spark)
    assert capsys.readouterr().err.splitlines() == [
        f"note: {url}: columns that are not used: 'klass'; known are path, label, group, split, "
        "size_bytes, modified",
        f"note: {url}: has no column label; the labels come from the paths, by "
        "preprocess.label_from",
    ]


def test_another_source_of_labels_moves_all_rows_or_is_refused(
    run: Run, draw_images: DrawImages, tmp_path: Path
) -> None:
    images = draw_images(each=20)
    run(images)
    first_letter = {"preprocess": {"label_from": "^(.)"}}
    data, num_changed = run(images, **first_letter)
    assert (num_changed, data.moved, data.labels) == (40, 40, ["l", "u"])
    assert {row["label"] + str(row["label_id"]) for row in rows(tmp_path / "dataset")} == {
        "l0",
        "u1",
    }
    assert run(images, **first_letter) == (data, 0)
    lines = [
        f"{name}/{number:04d}.png,{name}" for name in ("lying", "upright") for number in (1, 2)
    ]
    (tmp_path / "list.csv").write_text("\n".join(["path,label", *lines]))
    with pytest.raises(InputError, match="36 images of the dataset are no longer listed, such as"):
        run(images, preprocess={"catalogue": str(tmp_path / "list.csv")})
    assert manifest.read_manifest(str(tmp_path / "dataset")) == data


def test_an_image_that_is_moved_to_another_class_is_no_conflict(
    run: Run, draw_images: DrawImages, tmp_path: Path
) -> None:
    images = draw_images(each=20)
    run(images)
    (images / "lying" / "0003.png").rename(images / "upright" / "moved.png")
    data, _ = run(images)
    assert (data.inputs, data.rows, data.rejects, data.duplicates, data.gone) == (41, 40, 0, 1, 1)
    names = {name.split("/")[-1]: name for name in names_of(rows(tmp_path / "dataset"))}
    assert names["moved.png"] == "upright/moved.png"
    assert "lying/0003.png" not in names_of(rows(tmp_path / "dataset"))
    pruned, _ = run(images, prune=True)
    assert (pruned.inputs, pruned.rows, pruned.duplicates, pruned.gone) == (40, 40, 0, 0)


def test_retry_rejects_reads_only_the_rejected_images(
    run: Run, draw_images: DrawImages, tmp_path: Path
) -> None:
    images = draw_images(each=20)
    late = images / "lying" / "late.png"
    late.symlink_to(tmp_path / "late.png")
    (images / "upright" / "empty.png").write_bytes(b"")
    settings = {"preprocess": {"max_reject_fraction": 0.1}}
    first, _ = run(images, **settings)
    assert first.rejects_by_reason == {"unreadable": 1, "empty": 1}
    cv2.imwrite(str(tmp_path / "late.png"), stripes(0, seed=99))
    draw_images(each=21, start=20)
    data, num_read = run(images, retry_rejects=True, **settings)
    assert (num_read, data.inputs, data.rows) == (2, 42, 41)
    assert data.rejects_by_reason == {"empty": 1}


def test_new_images_are_compared_with_existing_rows(
    run: Run, draw_images: DrawImages, tmp_path: Path
) -> None:
    images = draw_images(each=20)
    run(images)
    shutil.copy(images / "lying" / "0007.png", images / "lying" / "0000-copy.png")
    shutil.copy(images / "lying" / "0001.png", images / "upright" / "liar.png")
    data, num_read = run(images)
    assert (num_read, data.inputs, data.rows, data.rejects, data.duplicates) == (2, 42, 39, 2, 1)
    [name] = data.duplicates_files
    [duplicate] = pq.read_table(tmp_path / "dataset" / name).to_pylist()
    assert duplicate["path"] == str(images / "lying" / "0000-copy.png")
    assert duplicate["kept_path"] == str(images / "lying" / "0007.png")
    # The old row of the conflict is removed, and returns when the new image is removed.
    assert "lying/0001.png" not in names_of(rows(tmp_path / "dataset"))
    (images / "upright" / "liar.png").unlink()
    data, _ = run(images, prune=True)
    assert (data.rows, data.rejects, data.duplicates) == (40, 0, 1)


def test_a_new_class_is_appended_to_the_labels(
    run: Run, draw_images: DrawImages, tmp_path: Path
) -> None:
    images = draw_images(each=20)
    run(images)
    draw_images(classes=("lying", "upright", "a-new-one"), each=40, start=20)
    data, _ = run(images)
    assert data.labels == ["lying", "upright", "a-new-one"]
    ids = {(row["label"], row["label_id"]) for row in rows(tmp_path / "dataset")}
    assert ids == {("lying", 0), ("upright", 1), ("a-new-one", 2)}


def test_a_small_class_is_stratified_and_its_images_keep_their_splits(
    run: Run, draw_images: DrawImages, tmp_path: Path
) -> None:
    kinds, dataset = ("lying", "upright", "third", "late"), tmp_path / "dataset"
    images = draw_images(classes=kinds[:3], each=5)
    draw_images(classes=kinds[:2], each=60, start=5)
    first, _ = run(images)
    assert list(first.split_salts) == ["third"]
    assert {split: counts["third"] for split, counts in first.counts.items()} == {
        "train": 3,
        "validation": 1,
        "test": 1,
    }
    split_of = {row["key"]: split for split in first.counts for row in rows(dataset, split)}
    assert len(split_of) == 125
    draw_images(classes=kinds, each=70, start=60)
    second, num_changed = run(images)
    assert (num_changed, second.moved) == (40, 0)
    again = {row["key"]: split for split in second.counts for row in rows(dataset, split)}
    assert {key: again[key] for key in split_of} == split_of
    assert second.split_salts["third"] == first.split_salts["third"]
    assert set(second.split_salts) <= {"third", "late"}
    assert run(images).num_changed == 0


def test_a_rerun_after_a_kill_reuses_the_staged_parts(
    run: Run, draw_images: DrawImages, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    images = draw_images(each=100)
    expected, _ = run(images, "undisturbed")

    def kill(*_: object, **__: object) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(run_module, "write_dataset_version", kill)
        with pytest.raises(KeyboardInterrupt):
            run(images)
    parts = sorted((tmp_path / "dataset" / "_staging").rglob("parts/part-*.parquet"))
    assert len(parts) > 1
    parts[0].unlink()
    stamps = {path: path.stat().st_mtime_ns for path in parts[1:]}
    with monkeypatch.context() as patch:
        patch.setattr(run_module.storage, "remove", lambda _: None)
        data, _ = run(images)
    assert {path: path.stat().st_mtime_ns for path in parts[1:]} == stamps
    assert data.fingerprint == expected.fingerprint
    run(images)
    assert not (tmp_path / "dataset" / "_staging").exists()


def test_a_killed_worker_does_not_change_the_dataset(
    run: Run, draw_images: DrawImages, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    images = draw_images(each=100)
    expected, _ = run(images, "undisturbed")
    map_tables = frames.map_tables
    marks: list[Path] = []
    monkeypatch.setattr(local_frame, "MAX_LOCAL_ROWS", -1)

    def map_with_a_kill(frame: Any, function: Any, result: pa.Schema, **options: Any) -> Any:
        if isinstance(frame, local_frame.LocalFrame):  # the listing of a small folder
            return map_tables(frame, function, result)
        mark = tmp_path / f"killed-{len(marks)}"
        marks.append(mark)

        def die_once(tables: Any) -> Any:
            if not mark.exists():
                # After the temporary file is written, before it is renamed.
                os.replace = lambda temporary, url: (  # type: ignore[assignment]
                    mark.write_text(os.path.basename(temporary)),
                    os.kill(os.getpid(), signal.SIGKILL),
                )
            yield from function(tables)

        return map_tables(frame, die_once, result, **options)

    for module in (frames, staging, duplicates, similar_images, side_tables):
        monkeypatch.setattr(module, "map_tables", map_with_a_kill)
    data, num_read = run(images)
    killed = {re.sub(r"-\d+.parquet", "", mark.read_text()[22:]) for mark in marks if mark.exists()}
    # Parts of decoded images, near duplicates and their images, a shard.
    run_name = Path(data.files[0].path).name.partition("-")[0]
    assert killed == {"part", "matches", "images", run_name}
    assert (num_read, data.fingerprint) == (200, expected.fingerprint)
    assert set(tree(tmp_path / "dataset")) == set(tree(tmp_path / "undisturbed"))
    assert data_files(tmp_path / "dataset") == data_files(tmp_path / "undisturbed")


def test_three_channels_keep_the_colour(run: Run, tmp_path: Path) -> None:
    for name, blue_green_red in (("red", (0, 0, 250)), ("blue", (250, 0, 0))):
        (tmp_path / "images" / name).mkdir(parents=True)
        for number in range(12):
            picture = np.full((20, 20, 3), blue_green_red, np.uint8)
            picture[number, number] = 7  # so that no two files are equal
            cv2.imwrite(str(tmp_path / "images" / name / f"{number}.png"), picture)
    run(tmp_path / "images", pixels={"height_px": 4, "width_px": 4, "channels": 3})
    for row in rows(tmp_path / "dataset"):
        pixel = np.frombuffer(row["image"], np.uint8).reshape(4, 4, 3)[0, 3]
        assert pixel.tolist() == ([250, 0, 0] if row["label"] == "red" else [0, 0, 250])


def test_an_output_folder_that_is_no_dataset_is_refused(
    run: Run, draw_images: DrawImages, tmp_path: Path
) -> None:
    (tmp_path / "dataset").mkdir()
    (tmp_path / "dataset" / "thesis.doc").write_text("years of work")
    with pytest.raises(InputError) as caught:
        run(draw_images(each=2))
    assert str(caught.value) == (
        f"{tmp_path}/dataset: exists and is not a dataset (it holds thesis.doc and no "
        "manifest.json); give another --output"
    )
    assert (tmp_path / "dataset" / "thesis.doc").read_text() == "years of work"


def test_a_dataset_with_other_settings_is_left_unchanged(
    run: Run, draw_images: DrawImages, tmp_path: Path
) -> None:
    images = draw_images(each=20)
    run(images)
    before = tree(tmp_path / "dataset")
    with pytest.raises(InputError) as caught:
        run(images, seed=3, pixels={"height_px": 8, "width_px": 16, "encoding": "png"})
    assert str(caught.value) == (
        f"{tmp_path}/dataset: the dataset was made with other settings and is left unchanged: "
        "seed was 0, is now 3; pixels.height_px was 16, is now 8; pixels.encoding was 'raw', is "
        "now 'png'. Give another --output, or remove the old dataset"
    )
    assert tree(tmp_path / "dataset") == before


def test_a_class_with_only_rejects_is_an_error(run: Run, draw_images: DrawImages) -> None:
    images = draw_images(each=20)
    for path in (images / "upright").iterdir():
        path.write_bytes(b"")
    with pytest.raises(InputError) as caught:
        run(images, preprocess={"max_reject_fraction": 1.0})
    assert str(caught.value) == (
        f"{images}: 20 of 40 images are left, and the train split has 1 class (lying); training "
        "needs 2 or more. Add images, or change the fractions of the splits"
    )


def near_pictures(root: Path) -> tuple[str, str]:
    """Add nearly equal images to the train and the test split; return their paths, test first."""
    rng = np.random.default_rng(5)
    blocks = cv2.resize(rng.integers(0, 256, (6, 6), np.uint8), (96, 96))
    for split, quality in (("train", 95), ("test", 80)):
        path = str(root / split / "lying" / "near.jpg")
        cv2.imwrite(path, blocks, [cv2.IMWRITE_JPEG_QUALITY, quality])
    return str(root / "test/lying/near.jpg"), str(root / "train/lying/near.jpg")


@pytest.mark.parametrize("mode", ["report", "drop", "off"])
def test_near_duplicates_across_splits(
    run: Run, draw_images: DrawImages, tmp_path: Path, mode: str
) -> None:
    draw_images("images/train", each=20)
    draw_images("images/test", each=25, start=20)
    test, train = near_pictures(tmp_path / "images")
    settings = {
        "splits": {"from_path": "^([a-z]+)/", "validation_fraction": 0.0},
        "preprocess": {
            "near_duplicates": mode,
            "near_distance": 2,
            "max_near_duplicate_fraction": 1.0,
        },
    }
    data, _ = run(tmp_path / "images", **settings)
    near_rows = [
        row
        for name in data.near_duplicates_files
        for row in pq.read_table(tmp_path / "dataset" / name).to_pylist()
        if row["path"] == test
    ]
    assert [(row["near_path"], row["split"], row["near_split"]) for row in near_rows] == (
        [] if mode == "off" else [(train, "test", "train")]
    )
    keys = {row["key"] for row in rows(tmp_path / "dataset")}
    assert train in keys
    assert (test in keys) == (mode != "drop")
    assert data.inputs == 52 == data.rows + data.duplicates


def test_a_contact_sheet_shows_classes_and_rejects(
    run: Run, draw_images: DrawImages, tmp_path: Path
) -> None:
    images = draw_images(each=20)
    (images / "lying" / "empty.png").write_bytes(b"")
    ok, jpeg = cv2.imencode(".jpg", stripes(0, seed=5))
    assert ok
    (images / "upright" / "cut.jpg").write_bytes(jpeg.tobytes()[:-200])
    data, _ = run(images)
    other_data, _ = run(draw_images("others", each=20), "other")
    sheet = cv2.imread(str(tmp_path / "dataset" / data.contact_sheet))
    without = cv2.imread(str(tmp_path / "other" / other_data.contact_sheet))
    assert sheet.shape[1] == without.shape[1]
    # Two more groups: one for the empty file, and one with the start of the truncated image.
    assert sheet.shape[0] > without.shape[0] + 16
