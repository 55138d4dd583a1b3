"""Storage by URL, through fsspec: list, read, and publish a file completely or not at all.

A URL without a scheme is a local path. Local files are handled by the standard library, which
is many times faster than fsspec for millions of small files.
"""

from halftone.storage.files import (
    read_bytes,
    read_json,
    read_many,
    remove,
    write_bytes,
    write_json,
    write_new,
)
from halftone.storage.listing import FileInfo, exists, list_files, list_names
from halftone.storage.parquet import num_row_groups, read_row_group, read_table, write_table
from halftone.storage.urls import as_url, is_local, join, normalise

__all__ = [
    "FileInfo",
    "as_url",
    "exists",
    "is_local",
    "join",
    "list_files",
    "list_names",
    "normalise",
    "num_row_groups",
    "read_bytes",
    "read_json",
    "read_many",
    "read_row_group",
    "read_table",
    "remove",
    "write_bytes",
    "write_json",
    "write_new",
    "write_table",
]
