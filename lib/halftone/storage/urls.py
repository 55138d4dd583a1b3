"""URLs and local paths, and their canonical spelling."""

from __future__ import annotations

import os
import re

from halftone.errors import InputError
from halftone.url_schemes import DELTA_PREFIX, TABLE_PREFIX, describe_unknown_scheme

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
# Azure's older scheme; the blobs of an account are those that abfs:// names.
_WASB = re.compile(r"^wasbs?://([^/@]+)@([^/.]+)\.blob\.")
_URL_WITH_PASSWORD = re.compile(r"^([^:/]+)://[^/@:]*:[^/@]*@")


def normalise_url(url: str) -> str:
    """Return the canonical spelling of `url`: an absolute path if local, no trailing slash.

    A prefix delta:// is left out.

    Raises:
        InputError: the URL contains a password, which would be written to manifests and logs, or
            has an unknown scheme, or one slash too few behind it; or it is the name of a table.
    """
    url = url.removeprefix(DELTA_PREFIX)
    if url.startswith(TABLE_PREFIX):
        raise InputError(
            f"{url}: is the name of a table, and not of a file or folder; give the URL of its "
            f"folder, or write ./{url} for a local folder of this name"
        )
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


def url_of_location(location: str) -> str:
    """Return the canonical URL of a folder that Spark names, such as the location of a table.

    Raises:
        InputError: Halftone does not read such a store, or the location names none.
    """
    url = _WASB.sub(r"abfs://\1@\2.dfs.", location, count=1)
    if ":" not in url.partition("/")[0]:
        raise InputError(f"{location}: names no store; give the URL of the folder")
    return normalise_url(url)


def is_local(url: str) -> bool:
    return "://" not in url


def join(url: str, *parts: str) -> str:
    """Append parts with a slash before each, unless there is one; no part is normalised."""
    for part in parts:
        url = f"{url}{part}" if url.endswith("/") else f"{url}/{part}"
    return url
