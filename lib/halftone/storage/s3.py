"""S3 with opaque keys: none is normalised, and no character of a key has a meaning.

s3fs alone removes slashes from both ends of a key, cuts it at `?versionId=`, and deletes every
object that matches a key with `*`, `?` or `[` as a pattern.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any, Optional

import s3fs

from halftone.storage.urls import S3_PREFIX

_MAX_DELETED_KEYS = 1000  # S3's limit for one request


class S3Store(s3fs.S3FileSystem):
    """s3fs, whose calls use the part of a path behind the bucket as the key, unchanged."""

    def split_path(self, path: str) -> tuple[str, str, Optional[str]]:
        path = path.removeprefix(S3_PREFIX)
        bucket = super().split_path(path)[0]  # it knows ARNs, which contain slashes
        return bucket, path[len(bucket) + 1 :], None

    def iter_objects(self, folder: str) -> Iterator[dict[str, Any]]:
        """Yield Key, Size and LastModified of all objects whose keys begin with `folder` + `/`.

        Args:
            folder: bucket and prefix, or only a bucket for all its objects.
        """
        bucket, key, _ = self.split_path(folder)
        position: dict[str, str] = {}
        while True:
            page = self.call_s3(
                "list_objects_v2",
                Bucket=bucket,
                Prefix=f"{key}/" if key else "",
                **position,
                **self.req_kw,
            )
            yield from page.get("Contents", [])
            if not page["IsTruncated"]:
                return
            position = {"ContinuationToken": page["NextContinuationToken"]}

    def delete_tree(self, path: str) -> None:
        """Delete the object at `path` and all below it as a folder, if they exist.

        Raises:
            OSError: an object could not be deleted.
        """
        bucket, key, _ = self.split_path(path)
        keys = [*([key] if key else []), *(entry["Key"] for entry in self.iter_objects(path))]
        for start in range(0, len(keys), _MAX_DELETED_KEYS):
            self._delete_keys(bucket, keys[start : start + _MAX_DELETED_KEYS])

    def _delete_keys(self, bucket: str, keys: Sequence[str]) -> None:
        request = {"Objects": [{"Key": key} for key in keys], "Quiet": True}
        response = self.call_s3("delete_objects", Bucket=bucket, Delete=request)
        for error in response.get("Errors", []):
            raise OSError(f"{error['Key']}: not deleted: {error['Code']}: {error['Message']}")
