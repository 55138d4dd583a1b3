"""S3 with opaque keys: none is normalised, and no character of a key has a meaning.

s3fs alone removes slashes from both ends of a key, cuts it at `?versionId=`, and deletes every
object that matches a key with `*`, `?` or `[` as a pattern.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any, Optional

import s3fs

from halftone.storage import s3_pages
from halftone.storage.urls import S3_PREFIX

_MAX_REQUEST_KEYS = 1000  # S3's limit for one request


class S3Store(s3fs.S3FileSystem):
    """s3fs, whose calls use the part of a path behind the bucket as the key, unchanged."""

    async def set_session(self, *args: Any, **kwargs: Any) -> Any:
        client = await super().set_session(*args, **kwargs)
        # Once, however often it is called.
        client.meta.events.register(s3_pages.EVENT, s3_pages.take_objects, unique_id="halftone")
        return client

    def split_path(self, path: str) -> tuple[str, str, Optional[str]]:
        path = path.removeprefix(S3_PREFIX)
        bucket = super().split_path(path)[0]  # it knows ARNs, which contain slashes
        return bucket, path[len(bucket) + 1 :], None

    def iter_objects(
        self, folder: str, start_after: str = ""
    ) -> Iterator[tuple[str, dict[str, Any]]]:
        """Yield the objects of all pages of `list_page`."""
        token = None
        while token != "":
            objects, token = self.list_page(folder, start_after, token=token)
            yield from objects

    def list_page(
        self,
        folder: str,
        start_after: str = "",
        max_objects: int = _MAX_REQUEST_KEYS,
        token: Optional[str] = None,
    ) -> tuple[list[tuple[str, dict[str, Any]]], str]:
        """List the first objects whose keys begin with `folder` + `/`, sorted by UTF-8 bytes.

        Args:
            folder: bucket and prefix, or only a bucket for all its objects.
            start_after: only objects behind this path below `folder`; empty: from the first.
            token: of the page before.

        Returns:
            Of each object the path below `folder` and its Key, Size and LastModified; and a token
            for the next page, which is empty if there are no more.
        """
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
            **self.req_kw,
        )
        objects = [(found["Key"].removeprefix(prefix), found) for found in page.get("Contents", [])]
        return objects, page["NextContinuationToken"] if page["IsTruncated"] else ""

    def object_size(self, path: str) -> int:
        """Return the size of the object at `path` in bytes.

        Raises:
            FileNotFoundError: there is no object with this key.
        """
        return int(self._head_object(path)["ContentLength"])

    def object_info(self, path: str) -> dict[str, Any]:
        """Return Size and LastModified of the object at `path`, as `list_page` does.

        Raises:
            FileNotFoundError: there is no object with this key.
        """
        found = self._head_object(path)
        return {"Size": found["ContentLength"], "LastModified": found["LastModified"]}

    def _head_object(self, path: str) -> dict[str, Any]:
        bucket, key, _ = self.split_path(path)
        found: dict[str, Any] = self.call_s3("head_object", Bucket=bucket, Key=key, **self.req_kw)
        return found

    def delete_tree(self, path: str) -> None:
        """Delete the object at `path` and all below it as a folder, if they exist.

        Raises:
            OSError: an object could not be deleted.
        """
        bucket, key, _ = self.split_path(path)
        keys = [*([key] if key else []), *(found["Key"] for _, found in self.iter_objects(path))]
        for start in range(0, len(keys), _MAX_REQUEST_KEYS):
            self._delete_keys(bucket, keys[start : start + _MAX_REQUEST_KEYS])

    def _delete_keys(self, bucket: str, keys: Sequence[str]) -> None:
        request = {"Objects": [{"Key": key} for key in keys], "Quiet": True}
        response = self.call_s3("delete_objects", Bucket=bucket, Delete=request)
        for error in response.get("Errors", []):
            raise OSError(f"{error['Key']}: not deleted: {error['Code']}: {error['Message']}")
