from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from example_manifest import example
from halftone.dataset import manifest
from halftone.dataset.manifest import Manifest, read_shards
from halftone.dataset.shard_files import ShardFile, SplitTotals
from halftone.errors import InputError


def error_of(root: Path) -> str:
    with pytest.raises(InputError) as caught:
        manifest.read_manifest(str(root))
    return str(caught.value).replace(str(root), "ROOT")


def edit(root: Path, **changes: Any) -> None:
    path = root / "manifest.json"
    raw = {**json.loads(path.read_text()), **changes}
    path.write_text(json.dumps({key: value for key, value in raw.items() if value is not None}))


def test_a_published_manifest_is_read_back(tmp_path: Path) -> None:
    manifest.publish_manifest(str(tmp_path), example())
    read = manifest.read_manifest(str(tmp_path))
    assert read == example()
    assert read.shape() == (8, 4, 3)
    root = str(tmp_path)
    assert [file.path for file in read_shards(root, read, "train")] == ["train/a.parquet"]
    assert read_shards(root, read, "validation") == []
    assert read_shards(root, read) == example().files


def test_the_json_has_the_keys_that_scripts_rely_on(tmp_path: Path) -> None:
    manifest.publish_manifest(str(tmp_path), example())
    raw = json.loads((tmp_path / "manifest.json").read_text())
    assert {name: raw[name] for name in ("inputs", "rows", "rejects", "duplicates")} == {
        "inputs": 4,
        "rows": 3,
        "rejects": 1,
        "duplicates": 0,
    }
    assert (raw["schema"], raw["fingerprint"]) == (1, "f")
    assert raw["files"][0]["path"] == "train/a.parquet"
    assert (raw["files"][0]["split"], raw["files"][0]["rows"]) == ("train", 2)


@pytest.fixture
def with_table(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Manifest:
    """The example as published in `tmp_path` if more than one file are too many to list."""
    monkeypatch.setattr(manifest, "MAX_LISTED_FILES", 1)
    return manifest.publish_manifest(str(tmp_path), example())


def test_many_shards_are_in_a_table(tmp_path: Path, with_table: Manifest) -> None:
    raw = json.loads((tmp_path / "manifest.json").read_text())
    # An older Halftone refuses this version, rather than to see an empty dataset.
    assert raw["schema"] == 2
    assert raw["files_table"] == "_versions/000001-files.parquet"
    assert "files" not in raw
    assert raw["files_totals"]["train"] == {
        "shards": 1,
        "rows": 2,
        "size_bytes": 9,
        "sums": [64, 640, 128],
        "square_sums": [128, 7296, 256],
    }
    root = str(tmp_path)
    read = manifest.read_manifest(root)
    assert read == with_table
    assert read.files is None
    train, test = example().files or []
    assert read_shards(root, read) == [train, test]
    assert read_shards(root, read, "train") == [train]
    assert read_shards(root, read, "validation") == []
    assert read_shards(root, read, "test") == [test]
    assert manifest.publish_manifest(root, read) == read
    assert read_shards(root, manifest.read_manifest(root)) == [train, test]


def test_the_totals_do_not_depend_on_where_the_shards_are_listed(with_table: Manifest) -> None:
    for split in ("train", "validation", "test"):
        assert with_table.totals(split) == example().totals(split)
    assert example().totals("validation") == SplitTotals(0, 0, 0, (), ())
    assert example().totals("test") == SplitTotals(1, 1, 9, (), ())
    assert with_table.size_bytes() == example().size_bytes() == 18
    assert with_table.pixel_statistics("train") == example().pixel_statistics("train")


def test_a_damaged_table_of_shards_is_an_error(tmp_path: Path, with_table: Manifest) -> None:
    table = tmp_path / "_versions" / "000001-files.parquet"
    for damage in (lambda: table.write_bytes(b"PAR1"), table.unlink):
        damage()
        with pytest.raises(InputError) as caught:
            read_shards(str(tmp_path), with_table, "train")
        assert str(caught.value) == (
            f"{table} is missing or damaged; restore it from a backup, or remove the dataset and "
            "run jobs/preprocess.py again"
        )


@pytest.mark.parametrize("max_listed_files", [2, 1])
def test_files_of_the_last_two_versions_are_kept(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, max_listed_files: int
) -> None:
    monkeypatch.setattr(manifest, "MAX_LISTED_FILES", max_listed_files)
    (tmp_path / "train").mkdir()
    (tmp_path / "rejects").mkdir()
    for version in range(1, 5):
        files = [
            ShardFile(
                path=f"train/{number}.parquet", split="train", rows=1, size_bytes=1, digest=""
            )
            for number in (version, version + 1)
        ]
        update = {
            "version": version,
            "files": files,
            "rejects_files": [f"rejects/{version}.parquet"],
            "contact_sheet": f"contact_sheets/{version}.png",
        }
        for path in (*(file.path for file in files), f"rejects/{version}.parquet"):
            (tmp_path / path).touch()
        data = example().model_copy(update=update)
        manifest.remove_unreferenced_files(
            str(tmp_path), manifest.publish_manifest(str(tmp_path), data)
        )
    names = {
        folder: sorted(path.name for path in (tmp_path / folder).iterdir())
        for folder in ("train", "rejects", "_versions")
    }
    # Both folders have files of version 3 that version 4 does not name.
    guard = "0-holds-other-versions-too-read-it-as-a-delta-table.parquet"
    tables = {"000003-files.parquet", "000004-files.parquet"} if max_listed_files == 1 else set()
    assert names == {
        "train": [guard, "3.parquet", "4.parquet", "5.parquet"],
        "rejects": [guard, "3.parquet", "4.parquet"],
        "_versions": sorted({"000003.json", "000004.json"} | tables),
    }


def test_a_folder_without_a_manifest_is_an_error(tmp_path: Path) -> None:
    assert error_of(tmp_path) == (
        "ROOT: no dataset here (no manifest.json); run jobs/preprocess.py, or check "
        "paths.dataset or --dataset"
    )


def test_a_newer_schema_version_is_an_error(tmp_path: Path) -> None:
    manifest.publish_manifest(str(tmp_path), example())
    edit(tmp_path, schema=3)
    assert error_of(tmp_path) == (
        "ROOT/manifest.json: schema version 3 is newer than 2, the newest that this Halftone "
        "reads; upgrade Halftone, or run preprocess again into another folder"
    )


def test_an_invalid_manifest_is_an_error(tmp_path: Path) -> None:
    (tmp_path / "manifest.json").write_text("{")
    assert error_of(tmp_path).startswith("ROOT/manifest.json: not a manifest: Expecting")
    (tmp_path / "manifest.json").write_text("[]")
    assert error_of(tmp_path) == "ROOT/manifest.json: not a manifest: it has no schema version"
    manifest.publish_manifest(str(tmp_path), example())
    edit(tmp_path, rows=None, labels=3)
    assert error_of(tmp_path) == (
        "ROOT/manifest.json: not a manifest: wrong or missing labels, rows"
    )
    manifest.publish_manifest(str(tmp_path), example())
    edit(tmp_path, files=None)
    assert error_of(tmp_path) == "ROOT/manifest.json: not a manifest: wrong or missing files"
    edit(tmp_path, files_table="_versions/000001-files.parquet")  # without the totals
    assert error_of(tmp_path) == "ROOT/manifest.json: not a manifest: wrong or missing files"


def test_a_file_that_petastorm_would_unpickle_is_refused(tmp_path: Path) -> None:
    manifest.publish_manifest(str(tmp_path), example())
    (tmp_path / "_common_metadata").write_bytes(b"")
    assert error_of(tmp_path) == (
        "ROOT/_common_metadata: Petastorm would unpickle this file, which can run code; Halftone "
        "never writes it. Remove it"
    )


def test_pixel_statistics_come_from_the_sums_of_the_shards() -> None:
    # 64 pixels: 0 and 2 in the first channel, equally often, and only 2 in the last.
    statistics = example().pixel_statistics("train")
    assert statistics.mean == [1.0, 10.0, 2.0]
    assert statistics.deviation == [1.0, 14**0.5, 1.0]


def test_a_dataset_of_an_older_halftone_has_no_statistics(tmp_path: Path) -> None:
    manifest.publish_manifest(str(tmp_path), example())
    files = json.loads((tmp_path / "manifest.json").read_text())["files"]
    assert (files[0]["sums"], files[0]["square_sums"]) == ([64, 640, 128], [128, 7296, 256])
    del files[0]["sums"], files[0]["square_sums"]
    edit(tmp_path, files=files)
    with pytest.raises(InputError) as caught:
        manifest.read_manifest(str(tmp_path)).pixel_statistics("train")
    assert str(caught.value) == (
        "the train split of the dataset made from /images has no pixel statistics (written by an "
        "older Halftone); run preprocess with a new --output, or use train.normalise 0..1 "
        "and train.augment.cutout_px 0"
    )


def test_a_split_without_rows_has_no_statistics() -> None:
    with pytest.raises(InputError) as caught:
        example().pixel_statistics("validation")
    assert str(caught.value) == (
        "the validation split of the dataset made from /images has no rows; preprocess more "
        "images, or change splits"
    )
