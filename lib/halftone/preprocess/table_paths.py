"""The paths of a table of images: relative to the folder of images, however the table has them."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import NamedTuple, Optional

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from halftone import arrow, storage
from halftone.dataset import schema
from halftone.errors import InputError

_ABSOLUTE = re.compile(r"^(/|[A-Za-z][A-Za-z0-9+.-]*:/)")
_HERE = "./"  # as `find .` writes


def relative_path(root: str, path: str) -> Optional[str]:
    """Return `path` relative to `root`, or None if it is not below `root`.

    Args:
        root: the folder of images.
        path: relative to `root`, or an absolute path or URL in any spelling that
            `storage.normalise_url` knows.
    """
    if _ABSOLUTE.match(path):
        path, below = storage.normalise_url(path), f"{root.rstrip('/')}/"
        return path[len(below) :] if path.startswith(below) else None
    # Keys of object stores are not paths: there, a dot is a name like any other.
    return path[len(_HERE) :] if path.startswith(_HERE) and storage.is_local(root) else path


def relative_paths(url: str, root: str, paths: pa.ChunkedArray) -> pa.ChunkedArray:
    """Return `relative_path` of each path.

    Args:
        url: of the table, for errors.

    Raises:
        InputError: a path is empty, not below `root`, written with back-slashes, or occurs twice.
    """
    is_empty = arrow.to_numpy(pc.binary_length(paths)) == 0
    if is_empty.any():
        raise InputError(f"{url}: row {int(np.flatnonzero(is_empty)[0]) + 1} has no path")
    backslashes = find_backslashes(paths)
    if backslashes.num and not _matches(paths, "/").any():
        raise InputError(
            f"{url}: {backslashes.num:,} paths are written with back-slashes, such as "
            f"{backslashes.example}; replace them by forward slashes"
        )
    if _matches(paths, f"{_ABSOLUTE.pattern}|^{re.escape(_HERE)}").any():
        paths = arrow.chunked_string_array(_iter_relative(url, root, paths))
    _check_unique(url, paths)
    return paths


def _iter_relative(url: str, root: str, paths: pa.ChunkedArray) -> Iterator[str]:
    outside = _Paths(0, "")
    for (path,) in arrow.iter_rows(pa.table({schema.PATH: paths}), schema.PATH):
        relative = relative_path(root, path)
        if relative is None:
            outside = _Paths(outside.num + 1, outside.example or path)
        else:
            yield relative
    if outside.num:
        raise InputError(
            f"{url}: {outside.num:,} paths are not below {root}, such as {outside.example}; "
            "check paths.images or --input, or write paths relative to that folder"
        )


class _Paths(NamedTuple):
    num: int
    example: str  # the first of them, or an empty string


def find_backslashes(paths: pa.ChunkedArray) -> _Paths:
    """Return how many paths contain a back-slash."""
    rows = np.flatnonzero(_matches(paths, r"\\"))
    return _Paths(len(rows), paths[int(rows[0])].as_py() if len(rows) else "")


def _check_unique(url: str, paths: pa.ChunkedArray) -> None:
    codes = arrow.dictionary_codes(paths)
    counts = np.bincount(codes)
    num_repeated = int((counts > 1).sum())
    if num_repeated:
        row = int(np.flatnonzero(counts[codes] > 1)[0])
        raise InputError(
            f"{url}: names {num_repeated} paths more than once, such as {paths[row].as_py()}"
        )


def _matches(texts: pa.ChunkedArray, pattern: str) -> npt.NDArray[np.bool_]:
    mask = pc.match_substring_regex(texts, pattern=pattern)
    return np.asarray(arrow.to_numpy(pc.cast(mask, pa.int8())), np.bool_)
