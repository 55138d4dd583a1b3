"""A dataset as Delta tables: what other readers see of each version."""

from __future__ import annotations

import re
from collections.abc import Iterable
from pathlib import Path
from typing import Any, Callable, Optional

import pytest
from pyspark.sql import SparkSession

from conftest import DrawImages, draw_stripes, small_config
from delta_readers import READERS, S3Options
from example_manifest import example
from halftone import delta_log, storage
from halftone.dataset import delta_tables, manifest, schema
from halftone.dataset.plain_reads import GUARD
from halftone.delta_log import TableFile
from halftone.errors import InputError
from halftone.preprocess import run as run_module
from halftone.preprocess.run import preprocess
from halftone.storage import clients
from object_store import ROOT, served
from s3_server import KEY, REGION, SECRET

CREATED_MS = 1_767_323_045_000
SETTINGS: dict[str, Any] = {
    "preprocess": {"rows_per_shard": 8, "max_reject_fraction": 0.5},
    "splits": {"validation_fraction": 0.2, "test_fraction": 0.2},
}


def write_side_table(root: Path) -> int:
    """Write the rejects of the example, and return the size of the file."""
    table = schema.REJECTS.empty_table()
    return storage.write_table(str(root / "rejects" / "a.parquet"), table)


def test_the_tables_of_a_manifest(tmp_path: Path) -> None:
    size_bytes = write_side_table(tmp_path)
    tables = delta_tables.describe_tables(str(tmp_path), example())
    by_root = {str(Path(table.root).relative_to(tmp_path)): table for table in tables}
    assert {root: table.files for root, table in by_root.items()} == {
        "train": [TableFile("a.parquet", 9, CREATED_MS, 2)],
        "validation": [],
        "test": [TableFile("b.parquet", 9, CREATED_MS, 1)],
        "rejects": [TableFile("a.parquet", size_bytes, CREATED_MS, 0)],
        "duplicates": [],
        "near_duplicates": [],
        ".": [
            TableFile("train/a.parquet", 9, CREATED_MS, 2, (("split", "train"),)),
            TableFile("test/b.parquet", 9, CREATED_MS, 1, (("split", "test"),)),
        ],
    }
    assert by_root["."].facts == {"manifestVersion": 1, "fingerprint": "f"}
    assert by_root["."].partition_columns == ("split",)
    assert by_root["train"].comments == {
        "image": "uint8 pixels of 8 x 4 x 3: height, width, channels"
    }


def test_a_missing_table_of_rejects_is_named(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"rejects/a\.parquet is missing or damaged"):
        delta_tables.publish_delta_tables(str(tmp_path), example())


def test_clean_up_leaves_the_logs(tmp_path: Path) -> None:
    write_side_table(tmp_path)
    root, data = str(tmp_path), example()
    manifest.publish_manifest(root, data)
    delta_tables.publish_delta_tables(root, data)
    manifest.remove_unreferenced_files(root, data)
    assert all(delta_log.has_log(f"{root}{folder}") for folder in ("", "/train", "/rejects"))
    assert not delta_log.has_log(f"{root}/validation")


class Versions:
    """A dataset that is preprocessed again and again, and what must be read of it."""

    def __init__(self, session: Callable[[], SparkSession], images: Path, dataset: str) -> None:
        self._session, self._images, self.dataset = session, images, dataset
        self.rows: dict[int, list[tuple[str, str, bytes]]] = {}  # by version

    def publish(self, **options: Any) -> None:
        config = small_config(**SETTINGS)
        preprocess(config, str(self._images), self.dataset, self._session, **options)
        data = manifest.read_manifest(self.dataset)
        self.rows[data.version] = sorted(
            (row["key"], file.split, row["image"])
            for file in manifest.read_shards(self.dataset, data)
            for row in self._read(file.path)
        )
        assert len(self.rows[data.version]) == data.rows
        guarded, mixed = self.find_guards()
        assert guarded == mixed

    def find_guards(self) -> tuple[set[str], set[str]]:
        """Return the folders where a plain read fails, and those with files of other versions."""
        data = manifest.read_manifest(self.dataset)
        files = {file.path for file in storage.list_files(self.dataset)}
        guards = {path for path in files if path.endswith(GUARD)}
        named = {file.path for file in manifest.read_shards(self.dataset, data)}
        named |= {*data.rejects_files, *data.duplicates_files, *data.near_duplicates_files}
        parquet = {path for path in files if re.fullmatch(r"[a-z]\w+/[^/]+\.parquet", path)}
        others = parquet - guards - named
        return _folders(guards), _folders(others)

    def rejects(self) -> list[tuple[str]]:
        data = manifest.read_manifest(self.dataset)
        return sorted((row["path"],) for path in data.rejects_files for row in self._read(path))

    def _read(self, path: str) -> list[dict[str, Any]]:
        rows: list[dict[str, Any]] = storage.read_table(f"{self.dataset}/{path}").to_pylist()
        return rows


def _folders(paths: Iterable[str]) -> set[str]:
    return {path.rpartition("/")[0] for path in paths}


def check_readers(versions: Versions, options: Optional[S3Options]) -> None:
    """Compare every reader with the rows of the newest version and of the one before it."""
    newest = max(versions.rows)
    for number in (newest, newest - 1):
        expected = versions.rows[number]
        for name, read in READERS.items():
            found = read(versions.dataset, "key, image", number, options)
            assert found == [(key, image) for key, _, image in expected], (name, number)
            for split in ("train", "validation", "test"):
                found = read(f"{versions.dataset}/{split}", "key", number, options)
                assert found == [(key,) for key, of, _ in expected if of == split], (name, split)
        for name in ("deltalake", "duckdb"):
            found = READERS[name](versions.dataset, "key, split", number, options)
            assert found == [(key, split) for key, split, _ in expected], (name, number)
    for read in READERS.values():
        assert read(f"{versions.dataset}/rejects", "path", None, options) == versions.rejects()


def publish_all(versions: Versions, images: Path, options: Optional[S3Options]) -> None:
    """Three versions, a run that is killed behind its manifest, and a prune."""
    guards: dict[int, set[str]] = {}  # by version, behind its manifest and before the clean-up

    def look(root: str, data: manifest.Manifest) -> None:
        guards.setdefault(data.version, versions.find_guards()[0])
        delta_tables.publish_delta_tables(root, data)

    for end in (14, 24, 33):
        draw_stripes(images, ("lying", "upright"), end, max(0, end - 10))
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(run_module, "publish_delta_tables", look)
            versions.publish()
        assert versions.rejects() == [(str(images / "lying" / "empty.png"),)]
    check_readers(versions, options)
    assert guards[1] >= {"train", "validation", "test", "rejects"}

    draw_stripes(images, ("lying", "upright"), 36, 33)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(run_module, "publish_delta_tables", kill_at_version_4)
        with pytest.raises(KeyboardInterrupt):
            versions.publish()
    guarded, mixed = versions.find_guards()
    assert {"train", "rejects"} <= mixed <= guarded
    read_newest = READERS["duckdb"](versions.dataset, "key", None, options)
    assert read_newest == [(key,) for key, _, _ in versions.rows[3]]
    versions.publish()
    assert max(versions.rows) == 4
    check_readers(versions, options)

    for path in images.glob("*/000*.png"):
        path.unlink()
    versions.publish(prune=True)
    assert (max(versions.rows), len(versions.rows[5])) == (5, 2 * (36 - 10))
    check_readers(versions, options)
    # Files of version 1 are gone, which no reader takes for missing rows.
    for name, read in READERS.items():
        with pytest.raises(Exception, match=r"(?i)not found|no such|404|cannot open|io error"):
            print(name, read(versions.dataset, "key, image", 1, options))


def kill_at_version_4(root: str, data: manifest.Manifest) -> None:
    if data.version == 4:
        raise KeyboardInterrupt
    delta_tables.publish_delta_tables(root, data)


@pytest.mark.slow
def test_every_reader_reads_the_rows_of_each_version(
    spark: SparkSession, draw_images: DrawImages, tmp_path: Path
) -> None:
    images = draw_images(each=4)
    (images / "lying" / "empty.png").write_bytes(b"")
    publish_all(Versions(lambda: spark, images, str(tmp_path / "dataset")), images, None)


@pytest.mark.slow
def test_every_reader_reads_the_rows_of_each_version_on_s3(
    spark: SparkSession, draw_images: DrawImages, tmp_path: Path
) -> None:
    images = draw_images(each=4)
    (images / "lying" / "empty.png").write_bytes(b"")
    with served(tmp_path / "store") as store:
        # The Spark workers of the session have no credentials in their environment.
        clients.set_options({"s3": {**store.options["s3"], "key": KEY, "secret": SECRET}})
        host = f"127.0.0.1:{store.port}"
        options = {"key": KEY, "secret": SECRET, "region": REGION, "host": host}
        publish_all(Versions(lambda: spark, images, f"{ROOT}/dataset"), images, options)


@pytest.mark.slow
def test_a_dataset_without_logs_gets_them_from_the_next_run(
    spark: SparkSession, draw_images: DrawImages, tmp_path: Path
) -> None:
    images = draw_images(each=10)
    versions = Versions(lambda: spark, images, str(tmp_path / "dataset"))
    versions.publish()
    draw_images(each=12, start=10)
    versions.publish()
    logs = sorted((tmp_path / "dataset").rglob("_delta_log"))
    assert len(logs) == 4
    for log in logs:
        storage.remove(str(log))
    versions.publish()  # nothing is new
    for read in READERS.values():
        assert read(versions.dataset, "key", 2) == [(key,) for key, _, _ in versions.rows[2]]
        with pytest.raises(Exception, match=r"(?i)no files in log segment|version"):
            read(versions.dataset, "key", 1)
