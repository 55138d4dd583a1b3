"""The schemes of URLs that can be read and written, such as s3, and the prefixes of tables."""

from __future__ import annotations

import difflib
import re
from typing import Optional

TABLE_PREFIX = "table:"  # of names of tables that Spark knows
DELTA_PREFIX = "delta://"  # before the URL or the path of the folder of a Delta table
# fmt: off
_SCHEMES = (
    "s3", "gs", "abfs", "hdfs", "webhdfs", "file", "dbfs", "http", "https",
    "s3a", "s3n", "gcs", "abfss",
)
# fmt: on
_SCHEME = re.compile(r"([A-Za-z][A-Za-z0-9+.-]*)://")


def describe_unknown_scheme(url: str) -> Optional[str]:
    """Return what is wrong with the scheme of a URL; None if it is known, or there is none."""
    match = _SCHEME.match(url)
    if match is None or match[1] in _SCHEMES:
        return None
    import fsspec  # it knows rare ones, and takes time to import

    if match[1] in fsspec.available_protocols():
        return None
    close = difflib.get_close_matches(match[1].lower(), _SCHEMES, n=1, cutoff=0.5)
    hint = f"did you mean {close[0]}://? " if close else ""
    return f"unknown scheme {match[1]}://; {hint}Known are s3://, gs://, abfs:// and hdfs://"
