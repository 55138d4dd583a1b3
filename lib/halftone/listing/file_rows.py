"""Make rows of files: each is an image, unreadable, or ignored."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from itertools import islice

import pyarrow as pa

from halftone import arrow, storage
from halftone.archives.formats import is_archive_name
from halftone.arrow.columns import SLICE_ROWS
from halftone.dataset import schema
from halftone.images.decoder_packages import KINDS_BY_ENDING
from halftone.listing.listed_rows import DETAIL, REASON, UNREADABLE, fill_columns
from halftone.listing.remarks import UnitRemarks
from halftone.listing.stored_files import (
    APPLE_DOUBLE,
    APPLE_DOUBLE_MAGIC,
    APPLE_DOUBLE_PREFIX,
    describe_stored_file,
    find_companion,
)
from halftone.storage import FileInfo

# A file of macOS holds attributes and, at most, a preview.
_MAX_APPLE_DOUBLE_BYTES = 2**20
_FILES_AT_ONCE = 64


def clean_endings(suffixes: Sequence[str]) -> frozenset[str]:
    """Return the endings of images in lower case and without a dot."""
    return frozenset(suffix.lower().lstrip(".") for suffix in suffixes)


def build_rows(
    root: str, endings: frozenset[str], files: Iterable[FileInfo], remarks: UnitRemarks
) -> Iterator[pa.Table]:
    """Yield LISTED of the files below `root` whose names end in one of `endings`.

    Every file is an image, unreadable or ignored: by its ending, or because it is a file of a
    system, a tool or Halftone itself.

    Args:
        files: in any order; they are consumed in parts.
        remarks: gets the counts.
    """
    iterator = iter(files)
    while batch := list(islice(iterator, SLICE_ROWS)):
        table = _build_table(root, endings, batch, remarks)
        if table.num_rows:
            yield table


def _build_table(
    root: str, endings: frozenset[str], files: Sequence[FileInfo], remarks: UnitRemarks
) -> pa.Table:
    existing = _find_companions(root, files)
    apple_doubles = _find_apple_doubles(root, files, existing)
    rows: list[tuple[str, int, float, str, str]] = []
    for file in files:
        name = file.path.rpartition("/")[2]
        suffix = name.rpartition(".")[2] if "." in name else ""
        kind = describe_stored_file(file.path, file.size_bytes, existing.__contains__)
        detail = file.broken_link  # whatever its ending: it may be that of a folder of images
        if kind is not None or file.path in apple_doubles:
            remarks.ignored[kind or APPLE_DOUBLE] += 1
            continue
        if not detail and suffix.lower() not in endings:
            if remarks.wants_archives and is_archive_name(name):
                remarks.archives.append((file.path, file.size_bytes, file.modified))
                continue
            remarks.ignored[f".{suffix}" if suffix else "no ending"] += 1
            continue
        path = file.path
        if not detail and not _is_utf8(path):
            detail = "its name is not UTF-8 text; rename it"
        if detail:
            path = path.encode("utf-8", "backslashreplace").decode()
            remarks.num_unreadable += 1
        else:
            remarks.num_images += 1
            remarks.path_label_example = remarks.path_label_example or path
            if suffix.lower() in KINDS_BY_ENDING:
                remarks.by_format[KINDS_BY_ENDING[suffix.lower()]] += 1
        rows.append((path, file.size_bytes, file.modified, UNREADABLE if detail else "", detail))
    paths, sizes, times, reasons, details = zip(*rows) if rows else ((), (), (), (), ())
    table = pa.table(
        {
            schema.PATH: arrow.string_array(paths),
            schema.SIZE_BYTES: arrow.number_array(sizes, pa.int64()),
            schema.MODIFIED: arrow.number_array(times, pa.float64()),
            REASON: arrow.string_array(reasons),
            DETAIL: arrow.string_array(details),
        }
    )
    return fill_columns(root, table)


def _find_companions(root: str, files: Sequence[FileInfo]) -> set[str]:
    """Return the paths that decide what one of `files` is, and that exist as files."""
    companions = {path for path in (find_companion(file.path) for file in files) if path}
    if not companions:
        return set()
    found = companions.intersection(file.path for file in files)
    missing = [path for path in companions if path not in found]
    urls = [storage.join(root, path) for path in missing]
    if storage.is_local(root):
        sizes = list(map(storage.file_size, urls))
    else:
        # Most may be far from here in the order of a store, or in another unit.
        with ThreadPoolExecutor(_FILES_AT_ONCE) as pool:
            sizes = list(pool.map(storage.file_size, urls))
    return found | {path for path, size in zip(missing, sizes) if size is not None}


def _find_apple_doubles(root: str, files: Sequence[FileInfo], existing: set[str]) -> set[str]:
    """Return the paths of AppleDouble files beside which there is no file of the name they imply.

    They are told by their first bytes.
    """
    paths = []
    for file in files:
        name = file.path.rpartition("/")[2]
        if name.startswith(APPLE_DOUBLE_PREFIX) and file.size_bytes <= _MAX_APPLE_DOUBLE_BYTES:
            companion = find_companion(file.path)
            if companion is not None and companion not in existing:
                paths.append(file.path)
    found = set()
    for start in range(0, len(paths), _FILES_AT_ONCE):
        some = paths[start : start + _FILES_AT_ONCE]
        contents = storage.read_files([storage.join(root, path) for path in some])
        found |= {
            path
            for path, data in zip(some, contents)
            if isinstance(data, bytes) and data.startswith(APPLE_DOUBLE_MAGIC)
        }
    return found


def _is_utf8(path: str) -> bool:
    try:
        path.encode()
    except UnicodeEncodeError:
        return False
    return True
