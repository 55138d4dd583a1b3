"""List the images: all of a folder, or those that a table names."""

from __future__ import annotations

import errno
from bisect import bisect_left
from collections import Counter
from collections.abc import Sequence
from typing import Optional

import pyarrow as pa

from halftone import arrow, storage
from halftone.dataset import schema
from halftone.errors import InputError
from halftone.preprocess.image_table import list_table
from halftone.preprocess.listed_files import UNREADABLE, Listing, UnusableImage, fill_columns
from halftone.preprocess.stored_files import (
    APPLE_DOUBLE,
    APPLE_DOUBLE_MAGIC,
    APPLE_DOUBLE_PREFIX,
    describe_stored_file,
)
from halftone.storage import FileInfo

# A file of macOS holds attributes and, at most, a preview.
_MAX_APPLE_DOUBLE_BYTES = 2**20
_FILES_AT_ONCE = 64


def list_images(root: str, table_url: Optional[str], suffixes: Sequence[str]) -> Listing:
    """List the images of the table at `table_url` or, if it is None, those below `root`.

    Raises:
        InputError: as `list_table` and `list_folder`.
    """
    return (
        list_folder(root, suffixes)
        if table_url is None
        else list_table(storage.normalise_url(table_url), root)
    )


def list_folder(root: str, suffixes: Sequence[str]) -> Listing:
    """List the files below `root` whose names end in one of `suffixes`, whatever they begin with.

    Every file below `root` is an image, unreadable or ignored: by its ending, or because it is a
    file of a system, a tool or Halftone itself.

    Raises:
        InputError: there is no such folder, one that may not be read, or there are no images in it.
    """
    files = _list_files(root)
    endings = {suffix.lower().lstrip(".") for suffix in suffixes}
    images: list[FileInfo] = []
    unreadable: list[UnusableImage] = []
    ignored: Counter[str] = Counter()
    apple_doubles = _find_apple_doubles(root, files)
    for file in files:
        name = file.path.rpartition("/")[2]
        suffix = name.rpartition(".")[2] if "." in name else ""
        kind = describe_stored_file(
            file.path, file.size_bytes, lambda path: _is_listed(files, path)
        )
        if kind is not None or file.path in apple_doubles:
            ignored[kind or APPLE_DOUBLE] += 1
        elif file.broken_link:  # whatever its ending: it may be that of a folder of images
            unreadable.append(_reject(file, file.broken_link))
        elif suffix.lower() not in endings:
            ignored[f".{suffix}" if suffix else "no ending"] += 1
        elif not _is_utf8(file.path):
            unreadable.append(_reject(file, "its name is not UTF-8 text; rename it"))
        else:
            images.append(file)
    if not images and not unreadable:
        raise InputError(
            f"{root}: no images among {len(files)} files; searched at any depth for names that "
            f"end in {', '.join(sorted(endings))} (preprocess.suffixes)"
        )
    table = pa.table(
        {
            schema.PATH: arrow.chunked_string_array(file.path for file in images),
            schema.SIZE_BYTES: arrow.number_array([file.size_bytes for file in images], pa.int64()),
            schema.MODIFIED: arrow.number_array([file.modified for file in images], pa.float64()),
        }
    )
    return Listing(fill_columns(root, table), False, dict(ignored), unreadable)


def _list_files(root: str) -> list[FileInfo]:
    try:
        return storage.list_files(root)
    except FileNotFoundError:
        raise InputError(f"{root}: no such folder; check paths.images or --input") from None
    except NotADirectoryError:
        raise InputError(f"{root}: is a file; paths.images must be a folder of images") from None
    except PermissionError as error:
        raise InputError(
            f"{error.filename}: may not be read by this user ({error.strerror}); permit it, or "
            f"move it out of {root}"
        ) from None
    except OSError as error:
        if error.errno not in (errno.ELOOP, errno.ENAMETOOLONG):
            raise
        raise InputError(f"{error.filename}: cannot be listed: {error.strerror}") from None


def _find_apple_doubles(root: str, files: Sequence[FileInfo]) -> set[str]:
    """Return the paths of AppleDouble files beside which there is no file of the name they imply.

    They are told by their first bytes.
    """
    paths = []
    for file in files:
        folder, slash, name = file.path.rpartition("/")
        if not name.startswith(APPLE_DOUBLE_PREFIX) or file.size_bytes > _MAX_APPLE_DOUBLE_BYTES:
            continue
        if not _is_listed(files, f"{folder}{slash}{name.removeprefix(APPLE_DOUBLE_PREFIX)}"):
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


def _is_listed(files: Sequence[FileInfo], path: str) -> bool:
    index = bisect_left(files, FileInfo(path, -1, 0.0))
    return index < len(files) and files[index].path == path


def _reject(file: FileInfo, detail: str) -> UnusableImage:
    path = file.path.encode("utf-8", "backslashreplace").decode()
    return UnusableImage(path, UNREADABLE, detail, file.size_bytes, file.modified)


def _is_utf8(path: str) -> bool:
    try:
        path.encode()
    except UnicodeEncodeError:
        return False
    return True
