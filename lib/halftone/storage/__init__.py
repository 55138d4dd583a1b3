"""Access local and remote files by URL, with fsspec: list, read, and write atomically.

A URL without a scheme is a local path. Local files are read and written with the standard library,
which is many times faster than fsspec for millions of small files.
"""

from halftone.storage.files import (
    create_file,
    open_file,
    open_new_file,
    read_bytes,
    read_files,
    read_json,
    remove,
    write_bytes,
    write_json,
)
from halftone.storage.held_blocks import HeldBlocks
from halftone.storage.listing import (
    check_folder,
    exists,
    file_info,
    file_size,
    find_files,
    iter_objects,
    list_files,
    list_names,
    list_page,
)
from halftone.storage.local_files import too_large
from halftone.storage.local_walk import FileInfo, FolderPlace, scan_folder, walk_folder
from halftone.storage.object_store import has_object_store, lists_from_key
from halftone.storage.parquet import (
    count_row_groups,
    count_rows,
    open_parquet,
    read_column_names,
    read_row_group,
    read_table,
    write_table,
)
from halftone.storage.probe import check_writable, remove_new_folders
from halftone.storage.ranges import Piece, WindowedFile, read_pieces
from halftone.storage.urls import is_local, join, normalise_url, url_of_location

__all__ = [
    "FileInfo",
    "FolderPlace",
    "HeldBlocks",
    "Piece",
    "WindowedFile",
    "check_folder",
    "check_writable",
    "count_row_groups",
    "count_rows",
    "create_file",
    "exists",
    "file_info",
    "file_size",
    "find_files",
    "has_object_store",
    "is_local",
    "iter_objects",
    "join",
    "list_files",
    "list_names",
    "list_page",
    "lists_from_key",
    "normalise_url",
    "open_file",
    "open_new_file",
    "open_parquet",
    "read_bytes",
    "read_column_names",
    "read_files",
    "read_json",
    "read_pieces",
    "read_row_group",
    "read_table",
    "remove",
    "remove_new_folders",
    "scan_folder",
    "too_large",
    "url_of_location",
    "walk_folder",
    "write_bytes",
    "write_json",
    "write_table",
]
