from __future__ import annotations

import errno
import os
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path

import fsspec
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from halftone import storage
from halftone.errors import InputError


@pytest.fixture(params=["local", "memory"])
def root(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    """A folder, on disk and in a store of fsspec."""
    if request.param == "local":
        return str(tmp_path / "store")
    url = f"memory://{tmp_path.name}/store"
    fsspec.filesystem("memory").store.clear()
    return url


def test_bytes_come_back(root: str) -> None:
    url = storage.join(root, "deep", "file.bin")
    assert not storage.exists(url)
    storage.write_bytes(url, b"one")
    storage.write_bytes(url, b"two")
    assert storage.read_bytes(url) == b"two"
    assert storage.exists(url)
    with pytest.raises(FileNotFoundError):
        storage.read_bytes(storage.join(root, "other"))


def test_writable_folder_is_created_and_left_empty(root: str) -> None:
    storage.check_writable(storage.join(root, "new"))
    assert storage.list_names(storage.join(root, "new")) == []


def test_folder_that_cannot_be_written_is_named_with_the_cause(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "file").write_bytes(b"")
    for folder in (tmp_path / "file", tmp_path / "file" / "new"):
        with pytest.raises(InputError) as caught:
            storage.check_writable(str(folder))
        assert str(caught.value) == (
            f"{folder}: cannot be written: it, or a part of its path, is a file; give another path"
        )

    def deny(descriptor: int) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(os, "fsync", deny)
    with pytest.raises(InputError) as caught:
        storage.check_writable(str(tmp_path))
    assert str(caught.value) == (
        f"{tmp_path}: cannot be written: No space left on device; correct the permissions, make "
        "room, or give another path"
    )
    assert os.listdir(tmp_path) == ["file"]


def test_create_file_does_not_replace_a_file(root: str) -> None:
    url = storage.join(root, "deep", "lock")
    assert storage.create_file(url, b"mine")
    assert not storage.create_file(url, b"another's")
    assert storage.read_bytes(url) == b"mine"
    assert storage.list_names(storage.join(root, "deep")) == ["lock"]
    # If the response was lost, the same call succeeds again.
    assert storage.create_file(url, b"mine")
    storage.remove(url)
    assert storage.create_file(url, b"another's")


def test_of_concurrent_callers_exactly_one_creates_the_file(tmp_path: Path) -> None:
    with ProcessPoolExecutor(8) as pool:
        for turn in range(20):
            path = str(tmp_path / f"lock-{turn}")
            contents = [f"{turn} {number}".encode() for number in range(8)]
            is_created = list(pool.map(storage.create_file, [path] * 8, contents))
            assert is_created.count(True) == 1
            assert storage.read_bytes(path) == contents[is_created.index(True)]
    assert len(os.listdir(tmp_path)) == 20


def test_create_file_on_a_mount_without_hard_links(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(source: str, target: str) -> None:
        raise OSError(errno.ENOTSUP, "Operation not supported")

    monkeypatch.setattr(os, "link", refuse)
    path = str(tmp_path / "lock")
    assert storage.create_file(path, b"mine")
    assert not storage.create_file(path, b"another's")
    assert os.listdir(tmp_path) == ["lock"]


def test_a_new_file_that_cannot_be_written(tmp_path: Path) -> None:
    (tmp_path / "file").write_bytes(b"")
    with pytest.raises(NotADirectoryError):
        storage.create_file(str(tmp_path / "file" / "lock"), b"mine")


def test_json_comes_back(root: str) -> None:
    storage.write_json(storage.join(root, "a.json"), {"rows": 3})
    assert storage.read_json(storage.join(root, "a.json")) == {"rows": 3}


def test_a_listing_has_files_at_any_depth_sorted_and_no_hidden_ones(root: str) -> None:
    for path in ("b/2.jpg", "b/1.jpg", "a.txt", ".hidden", "_SUCCESS", "b/_tmp/x.jpg", ".d/y.jpg"):
        storage.write_bytes(storage.join(root, *path.split("/")), path.encode())
    files = storage.list_files(root)
    assert [(file.path, file.size_bytes) for file in files] == [
        ("a.txt", 5),
        ("b/1.jpg", 7),
        ("b/2.jpg", 7),
    ]
    assert all(file.modified > 1.7e9 for file in files)


def test_listing_a_missing_folder_or_a_file(root: str) -> None:
    with pytest.raises(FileNotFoundError):
        storage.list_files(storage.join(root, "nowhere"))
    storage.write_bytes(storage.join(root, "file"), b"")
    with pytest.raises(NotADirectoryError):
        storage.list_files(storage.join(root, "file"))


def test_names_directly_below_a_folder(root: str) -> None:
    assert storage.list_names(root) == []
    storage.write_bytes(storage.join(root, "b", "c"), b"")
    storage.write_bytes(storage.join(root, "a"), b"")
    assert storage.list_names(root) == ["a", "b"]


def test_removing_a_file_a_folder_and_nothing(root: str) -> None:
    storage.write_bytes(storage.join(root, "a"), b"")
    storage.write_bytes(storage.join(root, "b", "c"), b"")
    for name in ("a", "b", "nowhere"):
        storage.remove(storage.join(root, name))
    assert storage.list_names(root) == []


def test_tables_come_back_by_column_and_by_row_group(root: str) -> None:
    url = storage.join(root, "t.parquet")
    table = pa.table({"n": [1, 2, 3], "b": [b"x", b"y", b"z"]})
    assert storage.write_table(url, table, rows_per_group=2) == len(storage.read_bytes(url))
    assert storage.read_table(url) == table
    assert storage.read_table(url, ["b"]).to_pydict() == {"b": [b"x", b"y", b"z"]}
    assert storage.count_row_groups(url) == 2
    assert storage.read_row_group(url, 1).to_pydict() == {"n": [3], "b": [b"z"]}


def test_a_table_is_one_row_group_and_not_compressed(tmp_path: Path) -> None:
    path = str(tmp_path / "t.parquet")
    storage.write_table(path, pa.table({"n": list(range(2_000_000))}))
    metadata = pq.ParquetFile(path).metadata
    assert metadata.num_row_groups == 1
    assert metadata.row_group(0).column(0).compression == "UNCOMPRESSED"


def test_a_failed_write_leaves_the_old_file_and_no_temporary_file(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "file"
    storage.write_bytes(str(path), b"old")

    def full(descriptor: int) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(OSError, match="No space left"):
        storage.write_bytes(str(path), b"new")
    assert path.read_bytes() == b"old"
    assert os.listdir(tmp_path) == ["file"]


def test_a_broken_link_is_listed(tmp_path: Path) -> None:
    (tmp_path / "link.jpg").symlink_to(tmp_path / "nowhere")
    assert [file.path for file in storage.list_files(str(tmp_path))] == ["link.jpg"]


@pytest.mark.parametrize(
    ("url", "spelled"),
    [
        ("/a/b/", "/a/b"),
        ("/a/../b", "/b"),
        ("file:///a/b", "/a/b"),
        ("file:/a/b", "/a/b"),
        ("file:a/b", "/a/b"),
        ("s3://bucket/a/", "s3://bucket/a"),
        ("s3a://bucket/a", "s3://bucket/a"),
        ("s3n://bucket/a", "s3://bucket/a"),
        ("gcs://bucket/a", "gs://bucket/a"),
        ("abfs://box@account.dfs.core.windows.net/a/", "abfs://box@account.dfs.core.windows.net/a"),
        ("dbfs:/a/b", "/dbfs/a/b"),
        ("dbfs:///a/b/", "/dbfs/a/b"),
        ("/dbfs/a/b", "/dbfs/a/b"),
        ("dbfs:/Volumes/main/raw/faces", "/Volumes/main/raw/faces"),
        ("dbfs:///Volumes/main/raw/faces", "/Volumes/main/raw/faces"),
        ("/dbfs/Volumes/main/raw/faces", "/Volumes/main/raw/faces"),
        ("/Volumes/main/raw/faces/", "/Volumes/main/raw/faces"),
        ("/data/dbfs:/a", "/data/dbfs:/a"),
    ],
)
def test_canonical_spelling(url: str, spelled: str) -> None:
    assert storage.normalise_url(url) == spelled
    assert storage.normalise_url(spelled) == spelled


def test_a_password_in_a_path_is_an_error_and_not_shown() -> None:
    with pytest.raises(InputError) as raised:
        storage.normalise_url("s3://AKIA:hidden@bucket/a")
    assert str(raised.value) == (
        "a path that begins with s3:// contains a password; remove it, and provide it as "
        "described in docs/storage.md"
    )


def test_a_relative_path_is_made_absolute() -> None:
    assert storage.normalise_url("data") == os.path.join(os.getcwd(), "data")


def test_as_url_adds_a_scheme() -> None:
    assert storage.as_url("/a/b") == "file:///a/b"
    assert storage.as_url("s3://a/b") == "s3://a/b"
