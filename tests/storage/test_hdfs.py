"""Storage on a real HDFS, by its own protocol and over HTTP, with and without injected faults."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from typing import Any, NamedTuple

import fsspec
import numpy as np
import pyarrow as pa
import pytest

import fault_proxy
from fault_proxy import FaultProxy
from hadoop_cluster import Hadoop, running_hadoop
from halftone import storage
from halftone.feed import row_groups
from halftone.storage import clients, hdfs_files
from lock_race import race

pytestmark = [pytest.mark.slow, pytest.mark.needs("hadoop")]


@pytest.fixture(scope="module")
def hadoop(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Hadoop]:
    with running_hadoop(tmp_path_factory.mktemp("hadoop")) as hadoop:
        yield hadoop


@pytest.fixture(autouse=True)
def restore_options() -> Iterator[None]:
    """Undo the changes of `clients.set_options`."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setitem(fsspec.config.conf, "webhdfs", {})
        patch.setitem(fsspec.config.conf, "hdfs", {})
        patch.setattr(clients, "_configured_protocols", set())
        patch.setenv("FSSPEC_WEBHDFS", "{}")
        patch.setenv("HADOOP_USER_NAME", "")  # the client of hdfs:// sets it
        yield
    clients._open_client.cache_clear()


@pytest.fixture(params=["hdfs", "webhdfs"])
def root(hadoop: Hadoop, request: pytest.FixtureRequest) -> str:
    """A folder for one test, by each protocol."""
    server = hadoop.hdfs if request.param == "hdfs" else hadoop.webhdfs
    return f"{server}/{request.param}/{request.node.originalname}"


@pytest.fixture
def web_root(hadoop: Hadoop, request: pytest.FixtureRequest) -> str:
    return f"{hadoop.webhdfs}/{request.node.originalname}"


def become(user: str, patch: pytest.MonkeyPatch) -> None:
    """Be another user from now on. The one who started HDFS may do everything."""
    patch.setenv("HADOOP_USER_NAME", user)
    clients._open_client.cache_clear()


def path_by_hadoop(hadoop: Hadoop, url: str) -> Any:
    return hadoop.jvm.org.apache.hadoop.fs.Path("/" + url.partition("://")[2].partition("/")[2])


def status_by_hadoop(hadoop: Hadoop, url: str) -> Any:
    """Return Hadoop's own FileStatus of a file."""
    return hadoop.servers.getFileSystem().getFileStatus(path_by_hadoop(hadoop, url))


def set_permissions(hadoop: Hadoop, url: str, octal: str) -> None:
    permission = hadoop.jvm.org.apache.hadoop.fs.permission.FsPermission(octal)
    hadoop.servers.getFileSystem().setPermission(path_by_hadoop(hadoop, url), permission)


def test_written_files_are_read_listed_and_removed(hadoop: Hadoop, root: str) -> None:
    for name in ("b/2.jpg", "b/1.jpg", "a[1].txt", "a1.txt"):
        storage.write_bytes(storage.join(root, name), name.encode())
    files = storage.list_files(root)
    assert [(file.path, file.size_bytes) for file in files] == [
        ("a1.txt", 6),
        ("a[1].txt", 8),
        ("b/1.jpg", 7),
        ("b/2.jpg", 7),
    ]
    for file in files:
        status = status_by_hadoop(hadoop, f"{root}/{file.path}")
        assert file.modified == status.getModificationTime() / 1000
        assert storage.file_info(f"{root}/{file.path}") == file._replace(path="")
    assert storage.list_names(root) == ["a1.txt", "a[1].txt", "b"]
    assert storage.list_names(f"{root}/b/1.jpg") == []
    assert storage.list_names(f"{root}/nowhere") == []
    storage.remove(f"{root}/b")
    storage.remove(f"{root}/b")
    storage.remove(f"{root}/a[1].txt")  # no pattern
    assert storage.list_names(root) == ["a1.txt"]
    with pytest.raises(NotADirectoryError):
        storage.list_files(f"{root}/a1.txt")
    with pytest.raises(FileNotFoundError):
        storage.list_files(f"{root}/nowhere")


def test_what_is_not_there(root: str) -> None:
    storage.write_bytes(f"{root}/file", b"content")
    assert storage.exists(root)
    for name in ("nowhere", "file/below"):
        assert not storage.exists(f"{root}/{name}")
        assert storage.file_info(f"{root}/{name}") is None
        assert storage.file_size(f"{root}/{name}") is None
    with pytest.raises(FileNotFoundError):
        storage.read_bytes(f"{root}/nowhere")


def test_files_are_read_at_once_up_to_a_limit(root: str) -> None:
    contents = {f"{root}/{number}": b"x" * number for number in range(5)}
    for url, content in contents.items():
        storage.write_bytes(url, content)
    urls = [*contents, f"{root}/nowhere"]
    *found, missing = storage.read_files(urls)
    assert found == list(contents.values())
    assert isinstance(missing, FileNotFoundError)
    *found, too_large, missing = storage.read_files(urls, max_bytes=3)
    assert found == list(contents.values())[:4]
    assert str(too_large) == "[Errno 27] too large: 4 bytes, at most 3 are read"
    assert isinstance(missing, FileNotFoundError)


ODD_NAMES = (
    *("a#b?c.jpg", "a%20b.jpg", "a%2Fb", "100%", "ü 😀 +&'\".jpg", "a+b;c=d.jpg", "a*b\\c.jpg"),
    *("a\tb", ".hidden", "_MG_1.JPG", "[1]"),
)


def test_names_are_not_changed(hadoop: Hadoop, root: str) -> None:
    for name in ODD_NAMES:
        storage.write_bytes(f"{root}/{name}", name.encode())
        assert status_by_hadoop(hadoop, f"{root}/{name}").getLen() == len(name.encode())
    assert storage.list_names(root) == sorted(ODD_NAMES)
    urls = [f"{root}/{name}" for name in ODD_NAMES]
    assert storage.read_files(urls) == [name.encode() for name in ODD_NAMES]
    for url in urls[1:]:
        storage.remove(url)
    assert storage.list_names(root) == [ODD_NAMES[0]]


def test_a_reader_sees_the_old_content_or_the_new_one(root: str) -> None:
    url, contents = f"{root}/manifest.json", [bytes([number]) * 300_000 for number in range(20)]
    storage.write_bytes(url, contents[0])
    seen: set[bytes] = set()
    ended = threading.Event()

    def read() -> None:
        while not ended.is_set():
            seen.add(storage.read_bytes(url))

    with ThreadPoolExecutor(2) as pool:
        readers = [pool.submit(read) for _ in range(2)]
        try:
            for content in contents[1:]:
                storage.write_bytes(url, content)
        finally:
            ended.set()
        for reader in readers:
            reader.result()
    assert len(seen) > 1
    assert seen <= set(contents)
    assert storage.list_names(root) == ["manifest.json"]


def test_of_concurrent_callers_exactly_one_creates_the_file(root: str) -> None:
    with ThreadPoolExecutor(8) as pool:
        for turn in range(3):
            url, contents = f"{root}/lock-{turn}", [f"{turn} {n}".encode() for n in range(8)]
            is_created = list(pool.map(storage.create_file, [url] * 8, contents))
            assert is_created.count(True) == 1
            assert storage.read_bytes(url) == contents[is_created.index(True)]
    assert storage.list_names(root) == ["lock-0", "lock-1", "lock-2"]


def test_one_of_several_processes_gets_the_lock(root: str) -> None:
    assert race(root, owners=4, timeout_secs=30) == [0, 0, 0, 1]
    assert race(root, owners=4, timeout_secs=30) == [0, 0, 0, 2]


def test_a_large_file_is_uploaded_and_read_in_pieces(hadoop: Hadoop, root: str) -> None:
    content = np.random.default_rng(1).bytes(9 * 2**20)
    with storage.open_new_file(f"{root}/large") as file:
        file.write(content)
        assert storage.list_names(root) == []
    assert status_by_hadoop(hadoop, f"{root}/large").getLen() == len(content)
    pieces = [storage.Piece(9, 2), storage.Piece(9 * 2**20 - 3, 3), storage.Piece(9 * 2**20, 1)]
    *found, cut = storage.read_pieces(f"{root}/large", pieces)
    assert found == [content[9:11], content[-3:]]
    assert isinstance(cut, OSError)
    with storage.open_file(f"{root}/large") as stream:
        assert stream.read(10) == content[:10]
        assert stream.read() == content[10:]


def test_petastorm_reads_tables(root: str) -> None:
    table = pa.table({"n": [1, 2, 3], "b": [b"x", b"y", b"z"]})
    storage.write_table(f"{root}/t #1.parquet", table, rows_per_group=2)
    assert storage.read_table(f"{root}/t #1.parquet") == table
    assert storage.count_row_groups(f"{root}/t #1.parquet") == 2
    (first, second) = row_groups.read_tables([f"{root}/t #1.parquet"], ["n"])
    assert [first.to_pydict(), second.to_pydict()] == [{"n": [1, 2]}, {"n": [3]}]


def test_a_folder_that_may_not_be_listed_is_an_error(
    hadoop: Hadoop, root: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    storage.write_bytes(f"{root}/open/1.jpg", b"1")
    storage.write_bytes(f"{root}/closed/2.jpg", b"2")
    storage.write_bytes(f"{root}/all/file", b"3")
    set_permissions(hadoop, f"{root}/closed", "700")
    set_permissions(hadoop, f"{root}/all", "777")
    become("visitor", monkeypatch)
    assert storage.read_bytes(f"{root}/open/1.jpg") == b"1"
    storage.write_bytes(f"{root}/all/new", b"4")
    assert status_by_hadoop(hadoop, f"{root}/all/new").getOwner() == "visitor"
    denied = r"^{}.*: the store denies access: /.* Permission denied: user=visitor, [^\n]*$"
    with pytest.raises(clients.AccessDeniedError, match=denied.format(root)):
        storage.list_files(root)
    with pytest.raises(clients.AccessDeniedError, match=denied.format(root)):
        storage.exists(f"{root}/closed/2.jpg")
    with pytest.raises(clients.AccessDeniedError, match=denied.format(root)):
        storage.write_bytes(f"{root}/new", b"")
    with pytest.raises(clients.AccessDeniedError, match=denied.format(root)):
        storage.read_files([f"{root}/closed/2.jpg"])


class Proxies(NamedTuple):
    name_node: FaultProxy
    data_nodes: list[FaultProxy]

    @property
    def all(self) -> list[FaultProxy]:
        return [self.name_node, *self.data_nodes]


@pytest.fixture
def proxies(hadoop: Hadoop) -> Iterator[Proxies]:
    """Proxies in front of all servers, used by the client."""
    with ExitStack() as stack:
        nodes = hadoop.servers.getDataNodes()
        ports = [node.getInfoPort() for node in nodes]
        data_nodes = [stack.enter_context(fault_proxy.fault_proxy(port)) for port in ports]
        name_port = int(hadoop.webhdfs.rpartition(":")[2])
        name_node = stack.enter_context(fault_proxy.fault_proxy(name_port))
        through = {f":{port}/": f":{proxy.port}/" for port, proxy in zip(ports, data_nodes)}
        clients.set_options({"webhdfs": {"data_proxy": through}})
        yield Proxies(name_node, data_nodes)


def test_transient_faults_change_no_result(proxies: Proxies, web_root: str) -> None:
    root = web_root.replace(web_root.split("/")[2], f"127.0.0.1:{proxies.name_node.port}")
    for seed, proxy in enumerate(proxies.all):
        proxy.fault = fault_proxy.random_faults(0.2, seed)
    data = {f"{root}/{number:02d}": bytes([number]) * 50_000 for number in range(16)}
    for url, content in data.items():
        storage.write_bytes(url, content)
    assert storage.read_files(list(data)) == list(data.values())
    assert [file.size_bytes for file in storage.list_files(root)] == [50_000] * 16
    for fault in fault_proxy.FAULTS:
        assert sum(proxy.count(fault) for proxy in proxies.all) > 0


def test_the_error_of_a_data_node_is_not_taken_for_content(proxies: Proxies, web_root: str) -> None:
    storage.write_bytes(f"{web_root}/file", b"content")
    for proxy in proxies.data_nodes:
        proxy.fault = lambda method, target: fault_proxy.ERROR_403
    with pytest.raises(clients.AccessDeniedError):
        storage.read_bytes(f"{web_root}/file")
    with pytest.raises(clients.AccessDeniedError), storage.open_file(f"{web_root}/file") as file:
        file.read()


def test_a_file_belongs_to_its_creator_if_the_response_was_lost(
    proxies: Proxies, web_root: str
) -> None:
    root = web_root.replace(web_root.split("/")[2], f"127.0.0.1:{proxies.name_node.port}")
    renames = iter([fault_proxy.RESET])
    proxies.name_node.fault = lambda method, target: (
        next(renames, fault_proxy.PASS) if "op=RENAME" in target else fault_proxy.PASS
    )
    assert storage.create_file(f"{root}/lock", b"mine")
    assert proxies.name_node.count(fault_proxy.RESET) == 1
    assert not storage.create_file(f"{root}/lock", b"another's")
    assert storage.read_bytes(f"{root}/lock") == b"mine"
    assert storage.list_names(root) == ["lock"]


def test_a_lost_data_node_changes_no_result(hadoop: Hadoop, root: str) -> None:
    data = {f"{root}/{number}": bytes([number]) * 50_000 for number in range(3)}
    for url, content in data.items():
        storage.write_bytes(url, content)
    lost = hadoop.servers.stopDataNode(0)
    try:
        assert storage.read_files(list(data)) == list(data.values())
        if root.startswith("webhdfs:"):  # hdfs-native needs all nodes that the NameNode chooses
            storage.write_bytes(f"{root}/new", b"new")
            assert storage.read_bytes(f"{root}/new") == b"new"
    finally:
        assert hadoop.servers.restartDataNode(lost)
        hadoop.servers.waitActive()


@pytest.mark.parametrize("scheme", ["hdfs", "webhdfs"])
def test_a_name_node_that_does_not_respond_is_an_error(
    scheme: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(hdfs_files, "RETRY_AFTER_SECS", (0.1,))
    url = f"{scheme}://127.0.0.1:1/nowhere"
    with pytest.raises(clients.StoreError, match=f"^{url}: the store does not respond correctly:"):
        storage.exists(url)
