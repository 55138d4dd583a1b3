"""Storage on real servers of object stores over HTTP, with and without injected faults."""

from __future__ import annotations

import asyncio
import re
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from types import SimpleNamespace
from typing import Callable

import h5py
import numpy as np
import pyarrow as pa
import pytest

import fault_proxy
from fault_proxy import FaultProxy
from halftone import storage
from halftone.archives import read_images
from halftone.config import PixelSpec
from halftone.errors import InputError, RunError
from halftone.listing import ArchiveSettings
from halftone.preprocess.decode_block import decode_images
from halftone.preprocess.entries import ENTRIES
from halftone.storage import azure, clients, files
from halftone.training import checkpoint
from halftone.training.checkpoint import Checkpoint
from listed import list_images
from object_store import ALL_STORES, AZURE, GCS, S3, S3_FAST, SECOND_S3, ObjectStore, served
from opaque_s3 import served_keys
from packed_images import write_tar, write_zip
from tables import table


@pytest.fixture(scope="module", params=ALL_STORES)
def server(
    tmp_path_factory: pytest.TempPathFactory, request: pytest.FixtureRequest
) -> Iterator[ObjectStore]:
    with served(tmp_path_factory.mktemp("store"), request.param) as store:
        yield store


# For tests of what is S3's alone, or the same for all stores.
s3_only = pytest.mark.parametrize("server", [S3], indirect=True)
slow_elsewhere = pytest.mark.parametrize("server", S3_FAST, indirect=True)


@pytest.fixture
def store(server: ObjectStore, request: pytest.FixtureRequest) -> Iterator[ObjectStore]:
    """The server without faults, before and after."""
    server.proxy.requests.clear()
    yield server
    server.proxy.fault = fault_proxy.no_faults


@pytest.fixture
def root(store: ObjectStore, request: pytest.FixtureRequest) -> str:
    return f"{store.root}/{request.node.name}"


def test_written_files_are_read_listed_and_removed(store: ObjectStore, root: str) -> None:
    for name in ("b/2.jpg", "b/1.jpg", "a[1].txt", "a1.txt"):
        storage.write_bytes(storage.join(root, name), name.encode())
    assert [(file.path, file.size_bytes) for file in storage.list_files(root)] == [
        ("a1.txt", 6),
        ("a[1].txt", 8),
        ("b/1.jpg", 7),
        ("b/2.jpg", 7),
    ]
    files_there = storage.list_files(root)
    assert all(file.modified > 1.7e9 for file in files_there)
    for file in files_there:
        found = storage.file_info(f"{root}/{file.path}")
        if store.kind == SECOND_S3:  # it lists milliseconds, and a header has seconds
            file = file._replace(modified=float(int(file.modified)))
        assert found == file._replace(path="")
    assert storage.file_info(f"{root}/nowhere") is None
    assert storage.list_names(root) == ["a1.txt", "a[1].txt", "b"]
    assert storage.list_names(f"{root}/b/1.jpg") == []
    assert storage.read_files([f"{root}/a[1].txt", f"{root}/b/1.jpg"]) == [b"a[1].txt", b"b/1.jpg"]
    storage.remove(f"{root}/b")
    storage.remove(f"{root}/b")
    storage.remove(f"{root}/a[1].txt")  # no pattern
    assert storage.list_names(root) == ["a1.txt"]
    with pytest.raises(NotADirectoryError):
        storage.list_files(f"{root}/a1.txt")
    with pytest.raises(FileNotFoundError):
        storage.list_files(f"{root}/nowhere")


def test_files_of_other_writers_are_visible_at_once(store: ObjectStore, root: str) -> None:
    assert storage.list_names(root) == []
    for name in ("one", "two"):
        store.put({f"{root}/{name}".removeprefix(f"{store.root}/"): b""})
        assert storage.exists(f"{root}/{name}")
        assert name in storage.list_names(root)


def test_tables_come_back(root: str) -> None:
    table = pa.table({"n": [1, 2, 3], "b": [b"x", b"y", b"z"]})
    storage.write_table(f"{root}/t.parquet", table, rows_per_group=2)
    assert storage.read_table(f"{root}/t.parquet") == table
    assert storage.count_row_groups(f"{root}/t.parquet") == 2
    assert storage.read_row_group(f"{root}/t.parquet", 1).to_pydict() == {"n": [3], "b": [b"z"]}


# Azure's pages are larger.
@pytest.mark.parametrize(
    "server", [kind for kind in S3_FAST if AZURE not in getattr(kind, "values", ())], indirect=True
)
def test_a_listing_of_more_than_one_page(store: ObjectStore, root: str) -> None:
    names = [f"{number:04d}.jpg" for number in range(1005)]
    store.client().pipe({f"{root}/{name}": b"" for name in names})
    assert [file.path for file in storage.list_files(root)] == names
    assert storage.list_names(root) == names
    # Not only the objects: their names, too, are asked for in pages.
    pages = [target for method, target, _ in store.proxy.requests if "prefix=" in target]
    assert len(pages) == 4
    storage.remove(root)
    assert storage.list_names(root) == []


# Keys that a file system, a URL or a pattern would change.
ODD_KEYS = (
    *("cat/", "dog/deep/", "cat/1.jpg", "dog/deep/2.jpg", "_MG_0001.JPG", ".hidden/3.jpg"),
    *("cat/a.jpg?versionId=5", "cat/a?b#c.jpg", "cat/a%20b.jpg", "cat/ü 😀 +&'\".jpg"),
    *("cat/a[1]*.jpg", "cat/a\tb.jpg", "cat/a\\b.jpg"),
)
# Keys that the server, which keeps objects as files, cannot store unchanged.
MORE_ODD_KEYS = (
    *("/first.jpg", "cat//4.jpg", "cat/./5.jpg", "cat/../6.jpg", "..", "cat/7.jpg/"),
    "cat/s3://8.jpg",
)


def check_keys(root: str, objects: dict[str, bytes]) -> None:
    """Check that exactly these objects are listed below `root`, and that each can be read."""
    files = storage.list_files(root)
    assert {file.path: file.size_bytes for file in files} == {
        key: len(content) for key, content in objects.items()
    }
    urls = [storage.join(root, file.path) for file in files]
    for max_bytes in (None, 100):
        assert storage.read_files(urls, max_bytes) == [objects[file.path] for file in files]
    listed = list_images(root, suffixes=["jpg", ""])
    assert listed.rows.num_rows + sum(listed.summary.ignored.values()) == len(objects)
    assert listed.summary.ignored["folder marker"] == sum(
        not content and (not key or key.endswith("/")) for key, content in objects.items()
    )


def test_keys_are_not_normalised(store: ObjectStore, root: str) -> None:
    folder_key = root.removeprefix(f"{store.root}/")
    # "" is the marker of the folder itself.
    keys = ["", *ODD_KEYS, *(MORE_ODD_KEYS if store.kind != S3 else ())]
    if store.kind == AZURE:  # it makes a slash of a back-slash, and its client resolves dots
        keys = [key for key in keys if "\\" not in key and not {".", ".."} & {*key.split("/")}]
    objects = {key: key.rpartition("/")[2].encode() for key in keys}
    store.put({f"{folder_key}/{key}": content for key, content in objects.items()})
    check_keys(root, objects)
    storage.write_bytes(f"{root}x/other", b"")
    storage.remove(root)
    left = [file.path for file in storage.list_files(store.root)]
    assert [path for path in left if path.startswith(folder_key)] == [f"{folder_key}x/other"]


@s3_only
@pytest.mark.parametrize("folder", ["", "img/", "/img/", "a?b#c[1]/"])
def test_keys_are_not_normalised_on_a_server_that_allows_all(
    server: ObjectStore, folder: str
) -> None:
    objects = {key: key.encode() for key in (*ODD_KEYS, *MORE_ODD_KEYS)}
    objects.update({"": b""} if folder else {}, **{"dog/": b""})
    with served_keys("b", {f"{folder}{key}": objects[key] for key in objects}) as endpoint_url:
        clients.set_options({"s3": {"endpoint_url": endpoint_url}})
        try:
            check_keys(f"s3://b/{folder}".removesuffix("/"), objects)
        finally:
            clients.set_options(server.options)


def test_of_concurrent_callers_exactly_one_creates_the_file(store: ObjectStore, root: str) -> None:
    with ThreadPoolExecutor(8) as pool:
        for turn in range(5):
            url, contents = f"{root}/lock-{turn}", [f"{turn} {n}".encode() for n in range(8)]
            is_created = list(pool.map(storage.create_file, [url] * 8, contents))
            assert is_created.count(True) == 1
            assert storage.read_bytes(url) == contents[is_created.index(True)]


@s3_only
@pytest.mark.slow  # the client waits 15 seconds for a response
def test_a_new_file_whose_response_was_lost_belongs_to_its_creator(
    store: ObjectStore, root: str
) -> None:
    faults = (fault_proxy.RESET if number == 0 else fault_proxy.PASS for number in range(100))
    store.proxy.fault = lambda method, target: next(faults) if method == "PUT" else fault_proxy.PASS
    assert storage.create_file(f"{root}/lock", b"mine")
    assert not storage.create_file(f"{root}/lock", b"another's")
    assert store.proxy.count(fault_proxy.RESET) == 1


@slow_elsewhere
def test_transient_faults_change_no_result(store: ObjectStore, root: str) -> None:
    store.proxy.fault = fault_proxy.random_faults(0.2, seed=3)
    data = {f"{root}/{number:02d}": bytes([number]) * 50_000 for number in range(16)}
    for url, content in data.items():
        storage.write_bytes(url, content)
    assert storage.read_files(list(data)) == list(data.values())
    assert [file.size_bytes for file in storage.list_files(root)] == [50_000] * 16
    assert all(store.proxy.count(fault) for fault in fault_proxy.FAULTS)


@s3_only
@pytest.mark.slow
def test_a_multipart_upload_is_atomic(store: ObjectStore, root: str) -> None:
    old, new = b"old", np.random.default_rng(1).bytes(101 * 2**20)
    storage.write_bytes(f"{root}/large", old)
    # The last request of the upload, which completes it.
    store.proxy.fault = lambda method, target: (
        fault_proxy.ERROR_403 if method == "POST" and "uploadId" in target else fault_proxy.PASS
    )
    with pytest.raises(clients.StoreError):
        storage.write_bytes(f"{root}/large", new)
    assert storage.read_bytes(f"{root}/large") == old
    store.proxy.fault = fault_proxy.no_faults
    storage.write_bytes(f"{root}/large", new)
    assert storage.read_bytes(f"{root}/large") == new
    parts = [target for method, target, _ in store.proxy.requests if "partNumber" in target]
    assert len(parts) == 6
    assert storage.list_names(root) == ["large"]


def test_denied_access_is_reported_with_advice(store: ObjectStore, root: str) -> None:
    storage.write_bytes(f"{root}/a", b"")
    store.proxy.fault = lambda method, target: fault_proxy.ERROR_403
    endpoint = "" if store.kind == AZURE else f" at {store.proxy.url}"
    message = re.compile(
        re.escape(f"{root}/a: the store{endpoint} denies access: ")
        + ".*(?:put in by a test|Forbidden).*"
        + re.escape(
            "; check the credentials and their permissions (docs/how-to/storage.md lists where "
            "credentials are looked up)"
        )
    )
    calls: list[Callable[[str], object]] = [
        storage.read_bytes,
        storage.list_names,
        storage.list_files,
        storage.read_table,
    ]
    for call in (*calls, lambda url: storage.write_bytes(url, b"new")):
        with pytest.raises(RunError) as raised:
            call(f"{root}/a")
        assert message.fullmatch(str(raised.value))
    with pytest.raises(InputError) as error:
        storage.check_writable(root)
    assert str(error.value).startswith(f"{root}: cannot be written: {root}/_probe-")
    assert " denies access: " in str(error.value)
    store.proxy.fault = fault_proxy.no_faults
    storage.check_writable(root)
    assert storage.list_names(root) == ["a"]
    assert storage.read_bytes(f"{root}/a") == b""


@s3_only
def test_file_is_created_on_a_store_without_conditional_requests(
    store: ObjectStore, root: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(files, "_SETTLE_SECS", 0.0)
    refused: list[str] = []

    def refuse_first(method: str, target: str) -> str:
        if method == "PUT" and not refused:
            refused.append(target)
            return fault_proxy.ERROR_501
        return fault_proxy.PASS

    store.proxy.fault = refuse_first
    assert storage.create_file(f"{root}/lock", b"mine")
    assert len(refused) == 1
    assert not storage.create_file(f"{root}/lock", b"another's")
    assert storage.read_bytes(f"{root}/lock") == b"mine"


@pytest.fixture
def few_retries(store: ObjectStore, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Make the client try twice, or without pauses."""
    if store.protocol == S3:
        clients.set_options({"s3": {"config_kwargs": {"retries": {"max_attempts": 1}}}})
    elif store.kind == GCS:
        pause = asyncio.sleep
        no_pause = SimpleNamespace(sleep=lambda secs: pause(0))
        monkeypatch.setattr("gcsfs.retry.asyncio", no_pause)
    else:
        monkeypatch.setitem(azure._RETRY, "retry_total", 1)
        monkeypatch.setitem(azure._RETRY, "increment_base", 0)
    clients._open_client.cache_clear()
    yield
    clients.set_options({"s3": {"config_kwargs": {}}})


@pytest.mark.usefixtures("few_retries")
def test_an_unavailable_store_is_reported_with_advice(store: ObjectStore, root: str) -> None:
    store.proxy.fault = lambda method, target: fault_proxy.ERROR_503
    endpoint = "" if store.kind == AZURE else f" at {store.proxy.url}"
    # It is not reported as an empty folder or a missing file.
    for call in (storage.list_names, storage.exists, storage.read_bytes):
        with pytest.raises(RunError) as raised:
            call(f"{root}/a")
        message = str(raised.value).replace("Service Unavailable", "put in by a test")
        assert message.startswith(f"{root}/a: the store{endpoint} does not respond correctly: ")
        assert "put in by a test" in message
        assert message.endswith(
            "; check storage.options and the network, then run the same command again to go on"
        )


@pytest.mark.usefixtures("few_retries")
def test_a_failed_connection_is_reported(
    server: ObjectStore, root: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    nobody = server._replace(proxy=FaultProxy(0))  # of port 0
    for name, value in nobody.environment.items():
        monkeypatch.setenv(name, value)
    clients.set_options(nobody.options)
    try:
        with pytest.raises(RunError, match=r"the store.* does not respond correctly: "):
            storage.read_bytes(f"{root}/a")
    finally:
        clients.set_options(server.options)


def test_a_missing_bucket(store: ObjectStore) -> None:
    url = f"{store.protocol}://nobody-has-this"
    with pytest.raises(FileNotFoundError):
        storage.list_files(f"{url}/images")
    with pytest.raises(InputError) as raised:
        storage.write_bytes(f"{url}/a", b"")
    message = str(raised.value)
    assert message.startswith(f"{url}/a: cannot be written: ")
    assert message.endswith("; create the bucket, or correct the path")
    if store.kind == S3:
        assert message.removeprefix(f"{url}/a: cannot be written: ") == (
            "The specified bucket does not exist; create the bucket, or correct the path"
        )


def staged(root: str, *names: str) -> pa.Table:
    entries = table(ENTRIES, *(("", name, "a", 0, -1, 0.0, 0, "", "", "") for name in names))
    return decode_images(root, entries, PixelSpec(height_px=8, width_px=8, channels=1), 2)


def test_an_image_deleted_since_the_listing_is_a_reject(store: ObjectStore, root: str) -> None:
    storage.write_bytes(f"{root}/empty.jpg", b"")
    part = staged(root, "empty.jpg", "gone.jpg")
    assert part["status"].to_pylist() == ["empty", "unreadable"]
    assert part["detail"].to_pylist()[1] == "the file was listed, but no longer exists"


def test_denied_access_does_not_reject_the_image(store: ObjectStore, root: str) -> None:
    storage.write_bytes(f"{root}/a.jpg", b"")
    store.proxy.fault = lambda method, target: (
        fault_proxy.ERROR_403 if "a.jpg" in target else fault_proxy.PASS
    )
    with pytest.raises(RunError) as raised:
        staged(root, "a.jpg")
    assert str(raised.value).startswith(f"{root}/a.jpg: the store")
    assert " denies access: " in str(raised.value)


def test_a_checkpoint_that_cannot_be_written_leaves_the_older_one(
    store: ObjectStore, root: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(checkpoint, "_RETRY_AFTER_SECS", (0.01,))
    first = Checkpoint([np.ones(3)], [], [{"epoch": 1, "loss": 0.5}], {})
    checkpoint.write_checkpoint(root, first)
    store.proxy.fault = lambda method, target: (
        fault_proxy.ERROR_403 if method in ("PUT", "POST") else fault_proxy.PASS
    )
    with pytest.raises(RunError, match="could not be written in 2 tries"):
        checkpoint.write_checkpoint(root, first._replace(history=first.history * 2))
    assert checkpoint.list_epochs(root) == [1]
    last = checkpoint.read_last_checkpoint(root)
    assert last is not None
    assert last.history == first.history


@s3_only
def test_archives_are_listed_and_read_with_few_requests(
    store: ObjectStore, root: str, tmp_path: Path
) -> None:
    picture = b"P5 2 2 255\n" + bytes(range(4))
    files = {f"cat/{number:04d}.pgm": picture + bytes([number % 256]) for number in range(1000)}
    write_tar(tmp_path / "a.tar", files)
    write_zip(tmp_path / "b.zip", files)
    store.upload(tmp_path, root.removeprefix("s3://"))
    store.proxy.requests.clear()
    listed = list_images(root, suffixes=["pgm"], archives=ArchiveSettings("auto"))
    assert listed.rows.num_rows == 2000
    assert len(store.proxy.requests) <= 12
    store.proxy.requests.clear()
    spec = PixelSpec(height_px=2, width_px=2, channels=1)
    entries = listed.rows.set_column(3, "split", pa.array([0] * 2000, pa.int8()))
    part = decode_images(root, entries, spec, read_threads=2)
    assert part["image"].to_pylist() == [bytes(range(4))] * 2000
    assert part["key"][0].as_py() == f"{root}/a.tar!cat/0000.pgm"
    assert len(store.proxy.requests) <= 6
    keys = [f"{root}/{name}!cat/0007.pgm" for name in ("a.tar", "b.zip")]
    assert read_images([*keys, f"{root}/a.tar"])[:2] == [files["cat/0007.pgm"]] * 2
    storage.remove(f"{root}/a.tar")
    entries = entries.slice(0, 2)
    part = decode_images(root, entries, spec, read_threads=2)
    assert part["status"].to_pylist() == ["unreadable"] * 2
    assert part["detail"][0].as_py() == "the archive was listed, but no longer exists"


@s3_only
def test_images_of_an_hdf5_file_are_those_that_were_written(
    store: ObjectStore, root: str, tmp_path: Path
) -> None:
    """Pixels in one piece, pixels in compressed chunks, and image files, with their labels."""
    pixels = np.random.default_rng(1).integers(0, 255, (900, 12, 10), dtype=np.uint8)
    parts = {"train": range(300), "val": range(300, 600), "test": range(600, 900)}
    with h5py.File(tmp_path / "a.h5", "w") as file:
        file["train/images"] = pixels[:300]
        file.create_dataset("val/images", data=pixels[300:600], chunks=(50, 12, 10), compression=4)
        varying = file.create_dataset("test/images", 300, h5py.vlen_dtype(np.uint8))
        for number in range(300):
            header = b"P5 10 12 255\n"
            varying[number] = np.frombuffer(header + pixels[600 + number].tobytes(), np.uint8)
        for name, numbers in parts.items():
            file[f"{name}/labels"] = [("cat", "dog")[number % 2] for number in numbers]
    store.upload(tmp_path, root.removeprefix("s3://"))
    store.proxy.requests.clear()
    listed = list_images(root, archives=ArchiveSettings("auto"))
    assert len(store.proxy.requests) <= 8
    expected = {
        f"{root}/a.h5!{name}/images[{row}]": (pixels[number].tobytes(), ("cat", "dog")[number % 2])
        for name, numbers in parts.items()
        for row, number in enumerate(numbers)
    }
    store.proxy.requests.clear()
    spec = PixelSpec(height_px=12, width_px=10, channels=1)
    entries = listed.rows.set_column(3, "split", pa.array([0] * 900, pa.int8()))
    part = decode_images(root, entries, spec, read_threads=2)
    assert len(store.proxy.requests) <= 6
    rows = zip(*(part[name].to_pylist() for name in ("key", "image", "label")))
    assert {key: (image, label) for key, image, label in rows} == expected
    (image,) = read_images([f"{root}/a.h5!val/images[299]"])
    assert isinstance(image, bytes)
    assert image.endswith(pixels[599].tobytes())
    storage.remove(f"{root}/a.h5")
    part = decode_images(root, entries.slice(299, 2), spec, read_threads=2)
    assert part["status"].to_pylist() == ["unreadable"] * 2
    assert set(part["detail"].to_pylist()) == {"the archive was listed, but no longer exists"}
