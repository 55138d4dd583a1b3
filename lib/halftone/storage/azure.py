"""Azure Blob Storage with opaque keys, see object_store."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from typing import Any, Optional

import adlfs
from azure.core.exceptions import ResourceNotFoundError
from azure.storage.blob.aio import BlobServiceClient, ExponentialRetry
from fsspec.asyn import sync, sync_wrapper

from halftone.storage.object_store import MAX_PAGE_OBJECTS, StoredObject, iter_objects

_DELETED_AT_ONCE = 64
_TIMEOUT_SECS = 15  # without an answer
# The defaults of the SDK wait 18 s and more after the first error.
_RETRY: dict[str, Any] = {
    "initial_backoff": 0.5,
    "increment_base": 2,
    "retry_total": 5,
    "random_jitter_range": 1,
}


class AzureStore(adlfs.AzureBlobFileSystem):
    """adlfs, with an ObjectStore's functions.

    Its calls use the part of a path behind the container as the key, unchanged.
    """

    service_client: Any

    def do_connect(self) -> None:
        super().do_connect()
        client = self.service_client
        self.service_client = BlobServiceClient(
            client.url,
            credential=client.credential,
            retry_policy=ExponentialRetry(**_RETRY),
            connection_timeout=_TIMEOUT_SECS,
            read_timeout=_TIMEOUT_SECS,
            _location_mode=self.location_mode,
        )

    @classmethod
    def _strip_protocol(cls, path: Any) -> Any:
        if isinstance(path, list):
            return [cls._strip_protocol(one) for one in path]
        protocol, mark, rest = str(path).partition("://")
        return strip_account(rest) if mark and "/" not in protocol else str(path)

    def split_path(
        self, path: str, delimiter: str = "/", **_: Any
    ) -> tuple[str, str, Optional[str]]:
        container, _, key = self._strip_protocol(path).partition("/")
        return container, key, None

    def list_page(
        self,
        folder: str,
        start_after: str = "",
        max_objects: int = MAX_PAGE_OBJECTS,
        token: Optional[str] = None,
    ) -> tuple[list[StoredObject], str]:
        assert not start_after, "Azure does not list from a key on"
        container, key, _ = self.split_path(folder)
        prefix = f"{key}/" if key else ""
        with _missing_container(container):
            blobs, next_token = sync(
                self.loop, self._list_blobs, container, prefix, max_objects, token
            )
        return [_stored(blob, prefix) for blob in blobs], next_token

    async def _list_blobs(
        self, container: str, prefix: str, max_objects: int, token: Optional[str]
    ) -> tuple[list[Any], str]:
        async with self.service_client.get_container_client(container) as client:
            pages: Any = client.list_blobs(
                name_starts_with=prefix, include=["metadata"], results_per_page=max_objects
            ).by_page(token)
            async for page in pages:
                return [blob async for blob in page], pages.continuation_token or ""
        return [], ""

    def object_info(self, path: str) -> StoredObject:
        container, key, _ = self.split_path(path)
        try:
            found = sync(self.loop, self._get_properties, container, key) if key else None
        except ResourceNotFoundError:
            found = None
        if found is None or _is_folder(found):
            raise FileNotFoundError(path)
        return StoredObject("", int(found.size), found.last_modified)

    async def _get_properties(self, container: str, key: str) -> Any:
        async with self.service_client.get_blob_client(container, key) as client:
            return await client.get_blob_properties()

    def delete_tree(self, path: str) -> None:
        container, key, _ = self.split_path(path)
        prefix = f"{key}/" if key else ""
        keys = [f"{prefix}{found.key}" for found in iter_objects(self, path)]
        # With a hierarchical namespace, folders are objects whose listed keys have no slash at
        # their ends, see `_stored`; they must be empty when they are deleted.
        folders = {one.rstrip("/") for one in keys if one.endswith("/")}
        files = [one for one in keys if one.rstrip("/") not in folders]
        sync(self.loop, self._delete_keys, container, files)
        for folder in sorted({*folders, *([key] if key else [])}, reverse=True):
            sync(self.loop, self._delete_keys, container, [folder, f"{folder}/"])

    async def _delete_keys(self, container: str, keys: Sequence[str]) -> None:
        async with self.service_client.get_container_client(container) as client:
            for start in range(0, len(keys), _DELETED_AT_ONCE):
                some = keys[start : start + _DELETED_AT_ONCE]
                await asyncio.gather(*(self._delete_key(client, key) for key in some))

    async def _delete_key(self, client: Any, key: str) -> None:
        with suppress(ResourceNotFoundError):
            await client.delete_blob(key)

    async def _pipe_file(self, path: str, value: bytes, *args: Any, **kwargs: Any) -> Any:
        with _missing_container(self.split_path(path)[0]):
            return await super()._pipe_file(path, value, *args, **kwargs)

    pipe_file = sync_wrapper(_pipe_file)  # that of adlfs calls its own `_pipe_file`


def strip_account(path: str) -> str:
    """Return a path without the account, which may stand behind the container."""
    host, slash, key = path.partition("/")
    return f"{host.partition('@')[0]}{slash}{key}"


@contextmanager
def _missing_container(name: str) -> Iterator[None]:
    try:
        yield
    except ResourceNotFoundError:
        raise FileNotFoundError(f"There is no container {name}") from None


def _stored(blob: Any, prefix: str) -> StoredObject:
    """Return a listed object; a folder of a hierarchical namespace gets a slash at its end."""
    name = f"{blob.name}/" if _is_folder(blob) and not blob.name.endswith("/") else blob.name
    return StoredObject(name.removeprefix(prefix), int(blob.size), blob.last_modified)


def _is_folder(blob: Any) -> bool:
    metadata = blob.metadata or {}
    return any(
        metadata.get(name) == "true" for name in ("hdi_isfolder", "Hdi_isfolder", "is_directory")
    )
