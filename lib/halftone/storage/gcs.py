"""Google Cloud Storage with opaque keys, see object_store."""

from __future__ import annotations

import asyncio
import logging
from contextlib import suppress
from datetime import datetime
from typing import Any, Optional

import aiohttp
import fsspec
import gcsfs
from fsspec.asyn import sync

from halftone.storage.object_store import MAX_PAGE_OBJECTS, StoredObject, iter_objects

_FIELDS = "nextPageToken,items(name,size,updated)"
_DELETED_AT_ONCE = 64
_TIMEOUT_SECS = 15.0  # without an answer
# gcsfs logs each error with a traceback, also those that follow from an ordinary answer.
logging.getLogger("gcsfs").setLevel(logging.CRITICAL)


def default_options() -> dict[str, Any]:
    """Return arguments of GcsStore that the settings of fsspec do not have."""
    if "requests_timeout" in fsspec.config.conf.get("gs", {}):
        return {}
    # aiohttp's default is 300 s for a whole request, after which gcsfs does not try again.
    timeout = aiohttp.ClientTimeout(total=None, sock_connect=_TIMEOUT_SECS, sock_read=_TIMEOUT_SECS)
    return {"requests_timeout": timeout}


class GcsStore(gcsfs.GCSFileSystem):
    """gcsfs, with an ObjectStore's functions."""

    def list_page(
        self,
        folder: str,
        start_after: str = "",
        max_objects: int = MAX_PAGE_OBJECTS,
        token: Optional[str] = None,
    ) -> tuple[list[StoredObject], str]:
        bucket, _, key = folder.partition("/")
        prefix = f"{key}/" if key else ""
        # startOffset itself is listed too.
        num_objects = min(max_objects + bool(start_after and not token), MAX_PAGE_OBJECTS)
        page = self._get(
            "b/{}/o",
            bucket,
            prefix=prefix or None,
            startOffset=f"{prefix}{start_after}" if start_after else None,
            maxResults=num_objects,
            pageToken=token,
            fields=_FIELDS,
        )
        objects = [
            _stored(item["name"].removeprefix(prefix), item) for item in page.get("items", [])
        ]
        if objects and objects[0].key == start_after != "":
            del objects[0]
        return objects, page.get("nextPageToken", "")

    def object_info(self, path: str) -> StoredObject:
        bucket, _, key = path.partition("/")
        if not key:
            raise FileNotFoundError(path)
        return _stored("", self._get("b/{}/o/{}", bucket, key, fields="size,updated"))

    def delete_tree(self, path: str) -> None:
        bucket, _, key = path.partition("/")
        prefix = f"{key}/" if key else ""
        keys = [
            *([key] if key else []),
            *(f"{prefix}{found.key}" for found in iter_objects(self, path)),
        ]
        sync(self.loop, self._delete_keys, bucket, keys)

    async def _delete_keys(self, bucket: str, keys: list[str]) -> None:
        for start in range(0, len(keys), _DELETED_AT_ONCE):
            some = keys[start : start + _DELETED_AT_ONCE]
            await asyncio.gather(*(self._delete_key(bucket, key) for key in some))

    async def _delete_key(self, bucket: str, key: str) -> None:
        with suppress(FileNotFoundError):
            await self._call("DELETE", "b/{}/o/{}", bucket, key)

    def _get(self, path: str, *names: str, **parameters: Any) -> dict[str, Any]:
        found: dict[str, Any] = sync(
            self.loop, self._call, "GET", path, *names, json_out=True, **parameters
        )
        return found


def _stored(key: str, item: dict[str, Any]) -> StoredObject:
    modified = datetime.fromisoformat(item["updated"].replace("Z", "+00:00"))
    return StoredObject(key, int(item["size"]), modified)
