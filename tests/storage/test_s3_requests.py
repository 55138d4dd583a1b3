"""What each request to S3 carries, as a proxy sees it; the server takes buckets from hosts."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import fsspec
import pytest

import store_servers
from fault_proxy import FaultProxy, fault_proxy
from halftone import storage
from halftone.storage import clients

pytestmark = pytest.mark.needs("gofakes3")
PAYER = "x-amz-request-payer: requester"


@pytest.fixture
def proxy(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[FaultProxy]:
    """A proxy to an S3 store with the bucket `images`, whose host is images.s3.test."""
    options = ("-hostbucketbase", "s3.test", "-initialbucket", "images")
    monkeypatch.setitem(fsspec.config.conf, "s3", {})
    monkeypatch.setattr(clients, "_configured_protocols", set())
    monkeypatch.setenv("FSSPEC_S3", "{}")
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"):
        monkeypatch.setenv(name, "invented")
    with store_servers.second_s3_server(tmp_path, *options) as port, fault_proxy(port) as started:
        yield started
    clients._open_client.cache_clear()


def test_every_request_names_the_payer_and_the_host_of_the_bucket(proxy: FaultProxy) -> None:
    config = {
        "proxies": {"http": proxy.url},
        "s3": {"addressing_style": "virtual"},
        # gofakes3 gives the checksum of the whole object for a part of it.
        "response_checksum_validation": "when_required",
    }
    options = {"endpoint_url": "http://s3.test", "requester_pays": True, "config_kwargs": config}
    clients.set_options({"s3": options})
    root = "s3://images/faces"
    storage.write_bytes(f"{root}/a.jpg", b"0123456789")
    storage.write_bytes(f"{root}/large.jpg", bytes(6 << 20))
    assert storage.read_bytes(f"{root}/a.jpg") == b"0123456789"
    assert storage.file_size(f"{root}/a.jpg") == 10
    filesystem, path = clients.open_filesystem(f"{root}/a.jpg")
    assert filesystem.cat_file(path, start=2, end=4) == b"23"
    assert filesystem.object_info(path).size_bytes == 10
    assert [found.key for found in filesystem.list_page("images/faces")[0]] == [
        "a.jpg",
        "large.jpg",
    ]
    storage.remove(root)
    assert not storage.exists(root)
    assert {method for method, *_ in proxy.requests} == {"PUT", "GET", "HEAD", "POST"}
    assert [head for head in proxy.heads if PAYER not in head] == []
    hosts = {target.split("/")[2] for _, target, _ in proxy.requests}
    assert hosts == {"images.s3.test"}
