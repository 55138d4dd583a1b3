from __future__ import annotations

import errno
import os
import socket
from concurrent.futures import ProcessPoolExecutor
from contextlib import suppress
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


def test_a_file_written_in_pieces_appears_at_the_end_or_not_at_all(root: str) -> None:
    url = storage.join(root, "deep", "file.bin")
    with storage.open_new_file(url) as file:
        file.write(b"one, ")
        assert not storage.exists(url)
        file.write(b"two")
    assert storage.read_bytes(url) == b"one, two"
    with suppress(ValueError), storage.open_new_file(url) as file:
        file.write(b"three")
        raise ValueError("no more")
    assert storage.read_bytes(url) == b"one, two"
    assert storage.list_names(storage.join(root, "deep")) == ["file.bin"]


def test_a_writable_folder_is_left_as_it_was(root: str) -> None:
    storage.check_writable(storage.join(root, "new", "deep"))
    assert not storage.exists(storage.join(root, "new"))
    storage.write_bytes(storage.join(root, "old", "file"), b"1")
    storage.check_writable(storage.join(root, "old"))
    assert storage.list_names(storage.join(root, "old")) == ["file"]


def test_new_folders_are_removed_unless_they_hold_something(tmp_path: Path) -> None:
    with storage.remove_new_folders(str(tmp_path / "a" / "b")):
        (tmp_path / "a" / "b").mkdir(parents=True)
        (tmp_path / "a" / "file").touch()
    assert os.listdir(tmp_path / "a") == ["file"]


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


def test_a_listing_has_all_files_at_any_depth_sorted(root: str) -> None:
    paths = ("b/2.jpg", "b/1.jpg", "a.txt", ".hidden", "_SUCCESS", "b/_tmp/x.jpg", ".d/y.jpg")
    for path in paths:
        storage.write_bytes(storage.join(root, *path.split("/")), path.encode())
    files = storage.list_files(root)
    assert [(file.path, file.size_bytes) for file in files] == [
        (path, len(path)) for path in sorted(paths)
    ]
    assert all(file.modified > 1.7e9 for file in files)


def test_listing_a_missing_folder_or_a_file(root: str) -> None:
    with pytest.raises(FileNotFoundError):
        storage.list_files(storage.join(root, "nowhere"))
    storage.write_bytes(storage.join(root, "file"), b"")
    with pytest.raises(NotADirectoryError):
        storage.list_files(storage.join(root, "file"))


def test_size_and_time_of_a_single_file(root: str) -> None:
    url = storage.join(root, "a/b.bin")
    storage.write_bytes(url, b"12345")
    (listed,) = storage.list_files(root)
    assert storage.file_info(url) == listed._replace(path="")
    assert (listed.size_bytes, listed.modified > 1.7e9) == (5, True)
    assert storage.file_info(storage.join(root, "a")) is None
    assert storage.file_info(storage.join(root, "nowhere")) is None


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


def test_removing_a_folder_whose_name_is_a_pattern_leaves_others(root: str) -> None:
    for folder in ("run[1]", "run1", "run?", "run*"):
        storage.write_bytes(storage.join(root, folder, "a"), b"")
    storage.remove(storage.join(root, "run[1]"))
    storage.remove(storage.join(root, "run?"))
    assert storage.list_names(root) == ["run*", "run1"]
    storage.remove(storage.join(root, "run*"))
    assert storage.list_names(root) == ["run1"]


def listed(folder: Path) -> dict[str, str]:
    """The listed paths, and what is broken about them."""
    return {file.path: file.broken_link for file in storage.list_files(str(folder))}


def test_links_are_followed_but_not_around_in_a_circle(tmp_path: Path) -> None:
    root = tmp_path / "root"
    for path in ("root/a/1.jpg", "root/b/2.jpg", "other/c/3.jpg"):
        (tmp_path / path).parent.mkdir(parents=True)
        (tmp_path / path).write_bytes(b"")
    links = {
        "root/file.jpg": "a/1.jpg",
        "root/again": "a",  # not around the link: listed twice
        "root/other": "../other",
        "root/a/up": "..",
        "root/a/self": ".",
        "root/top": "../..",
        "root/b/aside": "../a/back",
        "root/a/back": "../b",
        "root/gone.jpg": "nowhere/x.jpg",
        "root/loop.jpg": "loop.jpg",
        "root/no-folder": "a/1.jpg/x",
    }
    for path, target in links.items():
        (tmp_path / path).symlink_to(target)
    found = listed(root)
    around = {path: text for path, text in found.items() if text}
    assert set(found) - set(around) == {
        *("a/1.jpg", "b/2.jpg", "file.jpg", "again/1.jpg", "other/c/3.jpg"),
        *("a/back/2.jpg", "again/back/2.jpg"),
    }
    assert {path: around[path] for path in ("a/up", "a/self", "top", "again/up", "b/aside")} == {
        "a/up": f"a link loop: {root} contains it",
        "a/self": f"a link loop: {root}/a contains it",
        "top": f"a link loop: {tmp_path.parent} contains it",
        "again/up": f"a link loop: {root} contains it",
        "b/aside": f"a link loop: {root}/b contains it",
    }
    assert around["gone.jpg"] == "a dangling link: nowhere/x.jpg does not exist"
    assert around["no-folder"] == "a dangling link: a/1.jpg/x does not exist"
    assert around["loop.jpg"] == "a link loop"


def test_a_folder_that_may_not_be_read_is_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "a" / "closed").mkdir(parents=True)
    scandir = os.scandir

    def scan(path: str) -> object:  # tests may run as root, who may read every folder
        if path.endswith("closed"):
            raise PermissionError(errno.EACCES, "Permission denied", path)
        return scandir(path)

    monkeypatch.setattr(os, "scandir", scan)
    with pytest.raises(PermissionError) as raised:
        storage.list_files(str(tmp_path))
    assert raised.value.filename == f"{tmp_path}/a/closed"


@pytest.mark.timeout(20)  # opening the pipe would wait for ever
def test_what_is_no_regular_file_is_not_read(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe.jpg")
    with socket.socket(socket.AF_UNIX) as server:
        folder = os.open(tmp_path, os.O_RDONLY)  # a socket's path may have 107 characters
        server.bind(f"/proc/self/fd/{folder}/socket.jpg")
        os.close(folder)
    (tmp_path / "folder.jpg").mkdir()
    (tmp_path / "gone.jpg").symlink_to("nowhere.jpg")
    (tmp_path / "loop.jpg").symlink_to("loop.jpg")
    (tmp_path / "pipe-link.jpg").symlink_to("pipe.jpg")
    with open(tmp_path / "sparse.jpg", "wb") as file:
        file.truncate(300 * 10**9)
    (tmp_path / "fits.jpg").write_bytes(b"123")
    paths = [str(tmp_path / name) for name in sorted(os.listdir(tmp_path))]
    results = storage.read_files([*paths, "/dev/zero", "/a\0b.jpg", f"{tmp_path}/none.jpg"], 3)
    assert [result if isinstance(result, bytes) else result.strerror for result in results] == [
        b"123",
        "a folder, not a file",
        "a dangling link: nowhere.jpg does not exist",
        "a link loop",
        "a FIFO (named pipe), not a file",
        "a FIFO (named pipe), not a file",
        "a socket, not a file",
        "too large: 300,000,000,000 bytes, at most 3 are read",
        "a character device, not a file",
        "its path contains a NUL character",
        "No such file or directory",
    ]


def test_a_limit_of_the_size_of_files_in_a_store() -> None:
    root = "memory://limits"
    for name in ("", "ab", "abc", "abcd"):
        storage.write_bytes(f"{root}/{len(name)}", name.encode())
    results = storage.read_files([f"{root}/{n}" for n in (0, 2, 3, 4, 5)], max_bytes=3)
    assert results[:3] == [b"", b"ab", b"abc"]
    assert [str(error) for error in results[3:]] == [
        "[Errno 27] too large: 4 bytes, at most 3 are read",
        "the file was listed, but no longer exists",
    ]


def test_parts_are_joined_unchanged() -> None:
    assert storage.join("s3://b/img", "/a//b/../c/") == "s3://b/img//a//b/../c/"
    assert storage.join("/", "a", "b") == "/a/b"
    assert storage.join("/a/", "b", "") == "/a/b/"


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


@pytest.mark.parametrize(
    ("location", "url"),
    [
        ("file:/data/my faces%20", "/data/my faces%20"),
        ("file:///data/faces", "/data/faces"),
        ("s3a://bucket/faces/", "s3://bucket/faces"),
        ("s3n://bucket/faces", "s3://bucket/faces"),
        ("s3://bucket/faces", "s3://bucket/faces"),
        ("gs://bucket/faces", "gs://bucket/faces"),
        ("hdfs://name:8020/faces", "hdfs://name:8020/faces"),
        ("dbfs:/user/hive/warehouse/faces", "/dbfs/user/hive/warehouse/faces"),
        ("dbfs:/Volumes/main/faces/all", "/Volumes/main/faces/all"),
        ("abfss://box@name.dfs.core.windows.net/a", "abfss://box@name.dfs.core.windows.net/a"),
        ("wasbs://box@name.blob.core.windows.net/a", "abfs://box@name.dfs.core.windows.net/a"),
        ("wasb://box@name.blob.core.windows.net/a", "abfs://box@name.dfs.core.windows.net/a"),
    ],
)
def test_url_of_a_location_of_spark(location: str, url: str) -> None:
    assert storage.url_of_location(location) == url


@pytest.mark.parametrize(
    ("location", "message"),
    [
        ("oss1://bucket/a", "oss1://bucket/a: unknown scheme oss1://; "),
        ("wasbs://box/a", "wasbs://box/a: unknown scheme wasbs://; "),
        ("/data/a:b", "/data/a:b: names no store; give the URL of the folder"),
        ("s3a://key:secret@bucket/a", "a path that begins with s3a:// contains a password; "),
    ],
)
def test_a_location_that_cannot_be_read(location: str, message: str) -> None:
    with pytest.raises(InputError) as caught:
        storage.url_of_location(location)
    assert str(caught.value).startswith(message)


def test_the_folder_of_a_delta_table_and_the_name_of_one() -> None:
    assert storage.normalise_url("delta://s3a://bucket/faces") == "s3://bucket/faces"
    assert storage.normalise_url("delta:///data/faces/") == "/data/faces"
    assert storage.normalise_url("./table:a") == os.path.join(os.getcwd(), "table:a")
    with pytest.raises(InputError) as caught:
        storage.normalise_url("table:a")
    assert str(caught.value) == (
        "table:a: is the name of a table, and not of a file or folder; give the URL of its folder, "
        "or write ./table:a for a local folder of this name"
    )


def test_a_password_in_a_path_is_an_error_and_not_shown() -> None:
    with pytest.raises(InputError) as raised:
        storage.normalise_url("s3://AKIA:hidden@bucket/a")
    assert str(raised.value) == (
        "a path that begins with s3:// contains a password; remove it, and provide it as "
        "described in docs/how-to/storage.md"
    )


def test_a_relative_path_is_made_absolute() -> None:
    assert storage.normalise_url("data") == os.path.join(os.getcwd(), "data")
