"""URLs and local paths, and their canonical spelling."""

from __future__ import annotations

import os
import re

from halftone.errors import InputError
from halftone.url_schemes import describe_unknown_scheme

S3_PREFIX = "s3://"
ALL_HOSTS = ("http://", "https://")  # the folder of images of a list of URLs
# Spellings of Hadoop and others, and their canonical ones. Databricks mounts its file system, and
# the volumes of Unity Catalog, as folders.
_URL_ALIASES = {
    re.compile(r"^file:/*"): "/",
    re.compile(r"^(?:dbfs:/*|/dbfs/)Volumes/"): "/Volumes/",
    re.compile(r"^dbfs:/*"): "/dbfs/",
    re.compile(r"^s3[an]://"): S3_PREFIX,
    re.compile(r"^gcs://"): "gs://",
}
_URL_WITH_ONE_SLASH = re.compile(r"^(s3|gs|abfs|hdfs|webhdfs):/(.*)")
_URL_WITH_PASSWORD = re.compile(r"^([^:/]+)://[^/@:]*:[^/@]*@")


def normalise_url(url: str) -> str:
    """Return the canonical spelling of `url`: an absolute path if local, no trailing slash.

    Raises:
        InputError: the URL contains a password, which would be written to manifests and logs, or
            has an unknown scheme, or one slash too few behind it.
    """
    with_password = _URL_WITH_PASSWORD.match(url)
    if with_password:
        raise InputError(
            f"a path that begins with {with_password[1]}:// contains a password; remove it, and "
            "provide it as described in docs/how-to/storage.md"
        )
    mistake = describe_unknown_scheme(url)
    if mistake:
        raise InputError(f"{url}: {mistake}")
    for alias, canonical in _URL_ALIASES.items():
        url = alias.sub(canonical, url, count=1)
    if "://" in url:
        return url if url in ALL_HOSTS else url.rstrip("/")
    one_slash = _URL_WITH_ONE_SLASH.match(url)
    if one_slash:
        raise InputError(f"{url}: has one slash too few; write {one_slash[1]}://{one_slash[2]}")
    return os.path.abspath(os.path.expanduser(url))


def is_local(url: str) -> bool:
    return "://" not in url


def join(url: str, *parts: str) -> str:
    """Append parts with a slash before each, unless there is one; no part is normalised."""
    for part in parts:
        url = f"{url}{part}" if url.endswith("/") else f"{url}/{part}"
    return url
