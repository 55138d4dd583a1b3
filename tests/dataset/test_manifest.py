from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from example_manifest import example
from halftone.dataset import manifest
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
    assert [file.path for file in read.shards("train")] == ["train/a.parquet"]
    assert read.shards("validation") == []


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


def test_a_folder_without_a_manifest_is_an_error(tmp_path: Path) -> None:
    assert error_of(tmp_path) == (
        "ROOT: no dataset here (no manifest.json); run jobs/preprocess.py, or check "
        "paths.dataset or --dataset"
    )


def test_a_newer_schema_version_is_an_error(tmp_path: Path) -> None:
    manifest.publish_manifest(str(tmp_path), example())
    edit(tmp_path, schema=2)
    assert error_of(tmp_path) == (
        "ROOT/manifest.json: schema version 2 is newer than 1, the newest that this Halftone "
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
        "older Halftone); run preprocess with a new --output, or use train.normalise 0..1"
    )


def test_a_split_without_rows_has_no_statistics() -> None:
    with pytest.raises(InputError) as caught:
        example().pixel_statistics("validation")
    assert str(caught.value) == (
        "the validation split of the dataset made from /images has no rows; preprocess more "
        "images, or change splits"
    )
