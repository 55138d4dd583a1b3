"""What all clients of object stores can do with keys, whatever their characters.

A path is a bucket, or a container, then a slash and the key, which is taken as it is. fsspec's
clients alone cut keys at `?`, `#` or a trailing slash, or take `*` and `[` as patterns.
"""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime, timezone
from typing import NamedTuple, Optional, Protocol

MAX_PAGE_OBJECTS = 1000  # the limit of S3 and Google Cloud Storage for one request
UNKNOWN_TIME = datetime.fromtimestamp(0, timezone.utc)  # if the store does not report it
# Protocols whose clients are an ObjectStore, and whether the store lists from a key on.
OBJECT_PROTOCOLS = {"s3": True, "gs": True, "abfs": False, "abfss": False, "az": False}


class StoredObject(NamedTuple):
    key: str  # below the listed folder; "" for a marker of that folder
    size_bytes: int
    modified: datetime


class ObjectStore(Protocol):
    """A client of fsspec with these functions in addition."""

    def list_page(
        self,
        folder: str,
        start_after: str = "",
        max_objects: int = MAX_PAGE_OBJECTS,
        token: Optional[str] = None,
    ) -> tuple[list[StoredObject], str]:
        """List the first objects whose keys begin with `folder` + `/`, sorted by UTF-8 bytes.

        Args:
            folder: bucket and prefix, or only a bucket for all its objects.
            start_after: only objects behind this key below `folder`; empty: from the first. Not of
                a store that cannot list from a key on.
            max_objects: fewer may be returned.
            token: of the page before.

        Returns:
            The objects, and a token for the next page, which is empty if there are no more.

        Raises:
            FileNotFoundError: there is no such bucket.
        """
        ...

    def object_info(self, path: str) -> StoredObject:
        """Return the object at `path`, with an empty key.

        Raises:
            FileNotFoundError: there is no object with this key.
        """
        ...

    def delete_tree(self, path: str) -> None:
        """Delete the object at `path` and all below it as a folder, if they exist.

        Raises:
            OSError: an object could not be deleted.
        """
        ...


def iter_objects(store: ObjectStore, folder: str, start_after: str = "") -> Iterator[StoredObject]:
    """Yield the objects of all pages of `list_page`."""
    token: Optional[str] = None
    while token != "":
        objects, token = store.list_page(folder, start_after, token=token)
        yield from objects


def has_object_store(url: str) -> bool:
    """Return whether the client of a URL is an ObjectStore."""
    return url.partition("://")[0] in OBJECT_PROTOCOLS


def lists_from_key(url: str) -> bool:
    """Return whether the store of a URL lists objects behind any key, so in ranges of keys."""
    return OBJECT_PROTOCOLS.get(url.partition("://")[0], False)
