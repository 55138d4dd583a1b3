"""Real stores over HTTP for tests, each behind a proxy that injects faults."""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager
from functools import partial
from pathlib import Path
from typing import Any, Callable, NamedTuple

import fsspec
import pytest
import s3fs

import store_servers
from fault_proxy import FaultProxy, fault_proxy
from halftone.storage import clients
from s3_server import INSTALL, KEY, REGION, SECRET, program, s3_server

BUCKET = "halftone"
ROOT = f"s3://{BUCKET}"
# versitygw, and gofakes3, which keeps objects in a map: any key, and no conditional requests.
S3, SECOND_S3, GCS, AZURE = "s3", "second-s3", "gs", "abfs"
OTHER_STORES = [
    pytest.param(GCS, marks=pytest.mark.needs("fake-gcs-server")),
    pytest.param(AZURE, marks=pytest.mark.needs("azurite")),
]
SECOND = pytest.param(SECOND_S3, marks=pytest.mark.needs("gofakes3"))
ALL_STORES = [
    S3,
    SECOND,
    *OTHER_STORES,
]
# For tests that take some seconds with each store.
S3_FAST = [
    S3,
    *(
        pytest.param(*param.values, marks=[*param.marks, pytest.mark.slow])
        for param in (SECOND, *OTHER_STORES)
    ),
]
_AWS = {
    "AWS_ACCESS_KEY_ID": KEY,
    "AWS_SECRET_ACCESS_KEY": SECRET,
    "AWS_DEFAULT_REGION": REGION,
    "AWS_EC2_METADATA_DISABLED": "true",
}


class ObjectStore(NamedTuple):
    port: int  # of the server itself
    proxy: FaultProxy
    kind: str = S3

    @property
    def protocol(self) -> str:
        return S3 if self.kind == SECOND_S3 else self.kind

    @property
    def root(self) -> str:
        return f"{self.protocol}://{BUCKET}"

    @property
    def options(self) -> dict[str, dict[str, str]]:
        """The value of storage.options in a config; the endpoint is the proxy."""
        if self.kind == AZURE:  # the connection string has the endpoint, see `environment`
            return {}
        options = {"endpoint_url": self.proxy.url}
        return {self.protocol: {**options, "token": "anon"} if self.kind == GCS else options}

    @property
    def environment(self) -> dict[str, str]:
        """The credentials."""
        if self.kind == AZURE:
            return {"AZURE_STORAGE_CONNECTION_STRING": _connection_string(self.proxy.port)}
        return {} if self.kind == GCS else _AWS

    @property
    def secrets(self) -> tuple[str, ...]:
        return {AZURE: (store_servers.AZURE_KEY,), GCS: ()}.get(self.kind, (KEY, SECRET))

    def client(self) -> Any:
        """Open a client of fsspec that bypasses the proxy and its faults."""
        bypass: dict[str, Any] = {"use_listings_cache": False, "skip_instance_cache": True}
        if self.kind == AZURE:
            text = _connection_string(self.port)
            return fsspec.filesystem("abfs", connection_string=text, **bypass)
        url = f"http://127.0.0.1:{self.port}"
        if self.kind == GCS:
            return fsspec.filesystem("gs", endpoint_url=url, token="anon", **bypass)
        return s3fs.S3FileSystem(endpoint_url=url, key=KEY, secret=SECRET, **bypass)

    def put(self, objects: Mapping[str, bytes]) -> None:
        """Upload objects with exactly these keys, whatever fsspec's client makes of them."""
        client = self.client()
        for key, content in objects.items():
            if self.kind == AZURE:
                fsspec.asyn.sync(client.loop, _put_blob, client, key, content)
            elif self.kind == GCS:
                client.pipe_file(f"{BUCKET}/{key}", content)
            else:
                client.call_s3("put_object", Bucket=BUCKET, Key=key, Body=content)

    def upload(self, folder: Path, to: str) -> None:
        files = [path for path in folder.rglob("*") if path.is_file()]
        names = [path.relative_to(folder).as_posix() for path in files]
        self.client().pipe({f"{to}/{name}": path.read_bytes() for name, path in zip(names, files)})


async def _put_blob(client: Any, key: str, content: bytes) -> None:
    async with client.service_client.get_blob_client(BUCKET, key) as blob:
        await blob.upload_blob(content, overwrite=True)


def _connection_string(port: int) -> str:
    account = store_servers.AZURE_ACCOUNT
    return (
        f"DefaultEndpointsProtocol=http;AccountName={account};"
        f"AccountKey={store_servers.AZURE_KEY};"
        f"BlobEndpoint=http://127.0.0.1:{port}/{account};"
    )


@contextmanager
def served(work: Path, kind: str = S3) -> Iterator[ObjectStore]:
    """Serve an empty bucket, and set the credentials in the environment."""
    if kind == S3 and not program().exists():
        message = f"no S3 server at {program()}; make it with {INSTALL}"
        pytest.fail(message) if "CI" in os.environ else pytest.skip(message)
    work.mkdir(parents=True, exist_ok=True)
    with (
        _run_server(work, kind) as port,
        fault_proxy(port) as proxy,
        pytest.MonkeyPatch.context() as patch,
    ):
        store = ObjectStore(port, proxy, kind)
        # Restore what `clients.set_options` changes.
        patch.setitem(fsspec.config.conf, store.protocol, {})
        patch.setattr(clients, "_configured_protocols", set())
        variable = f"FSSPEC_{store.protocol.upper()}"
        for name, value in {**store.environment, variable: "{}"}.items():
            patch.setenv(name, value)
        store.client().mkdir(BUCKET)
        clients.set_options(store.options)
        yield store
    clients._open_client.cache_clear()


@contextmanager
def _run_server(work: Path, kind: str) -> Iterator[int]:
    servers: dict[str, Callable[[Path], AbstractContextManager[int]]] = {
        GCS: store_servers.gcs_server,
        AZURE: store_servers.azure_server,
        SECOND_S3: store_servers.second_s3_server,
    }
    serve = servers.get(kind, partial(s3_server, program()))
    with serve(work) as port:
        yield port
