"""URLs and local paths: one spelling for each place."""

from __future__ import annotations

import os
import posixpath
import re

from halftone.errors import InputError

# How Hadoop and others call what Python has another name for. Databricks shows its file system,
# and the volumes of Unity Catalog, as folders.
_URL_ALIASES = {
    re.compile(r"^file:/*"): "/",
    re.compile(r"^(?:dbfs:/*|/dbfs/)Volumes/"): "/Volumes/",
    re.compile(r"^dbfs:/*"): "/dbfs/",
    re.compile(r"^s3[an]://"): "s3://",
    re.compile(r"^gcs://"): "gs://",
}
_URL_WITH_PASSWORD = re.compile(r"^([^:/]+)://[^/@:]*:[^/@]*@")


def normalise_url(url: str) -> str:
    """Return the one spelling of `url`: an absolute path for a local one, no trailing slash.

    Raises:
        InputError: it holds a password, which would be in all that is written.
    """
    refused = _URL_WITH_PASSWORD.match(url)
    if refused:
        raise InputError(
            f"a path that begins with {refused[1]}:// holds a password; take it out, and give it "
            "as docs/storage.md says"
        )
    for spelling, ours in _URL_ALIASES.items():
        url = spelling.sub(ours, url, count=1)
    if "://" in url:
        return url.rstrip("/")
    return os.path.abspath(os.path.expanduser(url))


def is_local(url: str) -> bool:
    return "://" not in url


def as_url(url: str) -> str:
    """Return `url` with a scheme, for those who insist on one."""
    return f"file://{url}" if is_local(url) else url


def join(url: str, *parts: str) -> str:
    return posixpath.join(url, *parts)
