"""A real S3 server over HTTP for tests, behind a proxy that injects faults."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import NamedTuple

import fsspec
import pytest
import s3fs

from fault_proxy import FaultProxy, fault_proxy
from halftone.storage import clients
from s3_server import INSTALL, KEY, REGION, SECRET, program, s3_server

BUCKET = "halftone"
ROOT = f"s3://{BUCKET}"


class ObjectStore(NamedTuple):
    port: int  # of the server itself
    proxy: FaultProxy

    @property
    def options(self) -> dict[str, dict[str, str]]:
        """The value of storage.options in a config; the endpoint is the proxy."""
        return {"s3": {"endpoint_url": self.proxy.url}}

    def client(self) -> s3fs.S3FileSystem:
        """Open a client that bypasses the proxy and its faults."""
        return s3fs.S3FileSystem(
            endpoint_url=f"http://127.0.0.1:{self.port}",
            key=KEY,
            secret=SECRET,
            use_listings_cache=False,
            skip_instance_cache=True,
        )

    def upload(self, folder: Path, to: str) -> None:
        files = [path for path in folder.rglob("*") if path.is_file()]
        names = [path.relative_to(folder).as_posix() for path in files]
        self.client().pipe({f"{to}/{name}": path.read_bytes() for name, path in zip(names, files)})


@contextmanager
def served(work: Path) -> Iterator[ObjectStore]:
    """Serve an empty bucket, and set the credentials in the environment."""
    if not program().exists():
        message = f"no S3 server at {program()}; make it with {INSTALL}"
        pytest.fail(message) if "CI" in os.environ else pytest.skip(message)
    work.mkdir(parents=True, exist_ok=True)
    account = {
        "AWS_ACCESS_KEY_ID": KEY,
        "AWS_SECRET_ACCESS_KEY": SECRET,
        "AWS_DEFAULT_REGION": REGION,
        "AWS_EC2_METADATA_DISABLED": "true",
    }
    with pytest.MonkeyPatch.context() as patch:
        # Restore what `clients.set_options` changes.
        patch.setitem(fsspec.config.conf, "s3", {})
        patch.setattr(clients, "_configured_protocols", set())
        for name, value in {**account, "FSSPEC_S3": "{}"}.items():
            patch.setenv(name, value)
        with s3_server(program(), work) as port, fault_proxy(port) as proxy:
            store = ObjectStore(port, proxy)
            store.client().mkdir(BUCKET)
            clients.set_options(store.options)
            yield store
    clients._open_client.cache_clear()
