"""S3 with opaque keys: none is normalised, and no character of a key has a meaning.

s3fs alone removes slashes from both ends of a key, cuts it at `?versionId=`, and deletes every
object that matches a key with `*`, `?` or `[` as a pattern.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Optional

import s3fs

from halftone.storage import s3_pages
from halftone.storage.object_store import (
    MAX_PAGE_OBJECTS,
    UNKNOWN_TIME,
    StoredObject,
    iter_objects,
)
from halftone.storage.urls import S3_PREFIX


class S3Store(s3fs.S3FileSystem):
    """s3fs, with an ObjectStore's functions.

    Its calls use the part of a path behind the bucket as the key, unchanged.
    """

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        # s3fs alone names the payer when it reads, but not when it writes or deletes.
        self.s3_additional_kwargs: dict[str, Any] = {**self.s3_additional_kwargs, **self.req_kw}

    async def set_session(self, *args: Any, **kwargs: Any) -> Any:
        client = await super().set_session(*args, **kwargs)
        # Once, however often it is called.
        client.meta.events.register(s3_pages.EVENT, s3_pages.take_objects, unique_id="halftone")
        return client

    def split_path(self, path: str) -> tuple[str, str, Optional[str]]:
        path = path.removeprefix(S3_PREFIX)
        bucket = super().split_path(path)[0]  # it knows ARNs, which contain slashes
        return bucket, path[len(bucket) + 1 :], None

    def list_page(
        self,
        folder: str,
        start_after: str = "",
        max_objects: int = MAX_PAGE_OBJECTS,
        token: Optional[str] = None,
    ) -> tuple[list[StoredObject], str]:
        bucket, key, _ = self.split_path(folder)
        prefix = f"{key}/" if key else ""
        position = {"StartAfter": f"{prefix}{start_after}"} if start_after else {}
        if token:
            position["ContinuationToken"] = token
        page = self.call_s3(
            "list_objects_v2",
            Bucket=bucket,
            Prefix=prefix,
            MaxKeys=max_objects,
            **position,
        )
        objects = [
            StoredObject(found["Key"].removeprefix(prefix), found["Size"], found["LastModified"])
            for found in page.get("Contents", [])
        ]
        return objects, page["NextContinuationToken"] if page["IsTruncated"] else ""

    def object_info(self, path: str) -> StoredObject:
        bucket, key, _ = self.split_path(path)
        found = self.call_s3("head_object", Bucket=bucket, Key=key)
        return StoredObject("", found["ContentLength"], found.get("LastModified", UNKNOWN_TIME))

    def delete_tree(self, path: str) -> None:
        bucket, key, _ = self.split_path(path)
        prefix = f"{key}/" if key else ""
        below = (f"{prefix}{found.key}" for found in iter_objects(self, path))
        keys = [*([key] if key else []), *below]
        for start in range(0, len(keys), MAX_PAGE_OBJECTS):
            self._delete_keys(bucket, keys[start : start + MAX_PAGE_OBJECTS])

    def _delete_keys(self, bucket: str, keys: Sequence[str]) -> None:
        request = {"Objects": [{"Key": key} for key in keys], "Quiet": True}
        response = self.call_s3("delete_objects", Bucket=bucket, Delete=request)
        for error in response.get("Errors", []):
            raise OSError(f"{error['Key']}: not deleted: {error['Code']}: {error['Message']}")
