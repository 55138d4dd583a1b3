"""The paths of a table of images: relative to the folder of images, however the table has them."""

from __future__ import annotations

import re
from typing import NamedTuple, Optional

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from halftone import arrow, storage
from halftone.dataset import schema
from halftone.errors import InputError
from halftone.images.decoder_packages import KINDS_BY_ENDING
from halftone.listing.listed_rows import GROUP
from halftone.listing.remarks import UnitRemarks

_ABSOLUTE = re.compile(r"^(/|[A-Za-z][A-Za-z0-9+.-]*:/)")
_HERE = "./"  # as `find .` writes


class PathBase(NamedTuple):
    """Where a table is, if that says something of its rows."""

    folder: Optional[str] = None  # of which its paths are relative; None: the folder of images
    split: str = ""  # of all its rows; empty: the column `split` tells it, if there is one

    def apply(self, rows: pa.Table) -> pa.Table:
        """Return rows of a table with paths that do not depend on its place, and with the split.

        Args:
            rows: with a column `path`, and without a column `split` if this has one.
        """
        if self.folder is not None:
            paths = [_resolve(self.folder, path or "") for path in rows[schema.PATH].to_pylist()]
            index = rows.column_names.index(schema.PATH)
            rows = rows.set_column(index, schema.PATH, arrow.chunked_string_array(paths))
        if self.split:
            split = arrow.repeat_value(arrow.string_array([self.split]), rows.num_rows)
            rows = rows.append_column(schema.SPLIT, split)
        return rows


NO_BASE = PathBase()


def _resolve(folder: str, path: str) -> str:
    if not path or _ABSOLUTE.match(path):
        return path
    return storage.join(folder, path.removeprefix(_HERE) if storage.is_local(folder) else path)


def relative_path(root: str, path: str) -> Optional[str]:
    """Return `path` relative to `root`, or None if it is not below `root`.

    Args:
        root: the folder of images.
        path: relative to `root`, or an absolute path or URL in any spelling that
            `storage.normalise_url` knows.
    """
    if _ABSOLUTE.match(path):
        path, below = storage.normalise_url(path), _with_slash(root)
        return path[len(below) :] if path.startswith(below) else None
    # Keys of object stores are not paths: there, a dot is a name like any other.
    return path[len(_HERE) :] if path.startswith(_HERE) and storage.is_local(root) else path


def _with_slash(root: str) -> str:
    return root if root.endswith("/") else f"{root}/"  # of all hosts: https://


def make_relative(
    url: str, root: str, first_row: int, rows: pa.Table, remarks: UnitRemarks
) -> pa.Table:
    """Return LISTED with `relative_path` of each path; without the rows that are not below `root`.

    Args:
        url: of the table, for errors.
        first_row: the number of rows of the table before these.
        rows: LISTED.
        remarks: gets the counts.

    Raises:
        InputError: a path is empty.
    """
    index = rows.schema.get_field_index(schema.PATH)
    paths = rows[schema.PATH]
    is_empty = arrow.to_numpy(pc.binary_length(paths)) == 0
    if is_empty.any():
        row = first_row + int(np.flatnonzero(is_empty)[0]) + 1
        raise InputError(f"{url}: row {row} has no path")
    remarks.num_with_slash += int(_matches(paths, "/").sum())
    if _matches(paths, f"{_ABSOLUTE.pattern}|^{re.escape(_HERE)}").any():
        relative = [relative_path(root, path) for path in paths.to_pylist()]
        outside = [path for path, below in zip(paths.to_pylist(), relative) if below is None]
        remarks.num_outside += len(outside)
        remarks.outside_example = remarks.outside_example or next(iter(outside), "")
        rows = arrow.filter_rows(rows, np.array([path is not None for path in relative], bool))
        paths = arrow.chunked_string_array(path for path in relative if path is not None)
        rows = rows.set_column(index, rows.schema.field(index), paths)
    backslashes = np.flatnonzero(_matches(paths, r"\\"))
    if len(backslashes):
        remarks.num_backslashes += len(backslashes)
        remarks.backslash_example = remarks.backslash_example or paths[int(backslashes[0])].as_py()
    remarks.num_images += rows.num_rows
    if _matches(paths, f"(?i)\\.({'|'.join(KINDS_BY_ENDING)})$").any():
        for ending, kind in KINDS_BY_ENDING.items():
            count = int(_matches(paths, f"(?i)\\.{ending}$").sum())
            remarks.by_format.update({kind: count} if count else {})
    remarks.num_with_group += _count_texts(rows[GROUP])
    remarks.num_with_split += _count_texts(rows[schema.SPLIT])
    return rows


def _count_texts(texts: pa.ChunkedArray) -> int:
    return int((arrow.to_numpy(pc.binary_length(texts)) > 0).sum())


def _matches(texts: pa.ChunkedArray, pattern: str) -> npt.NDArray[np.bool_]:
    mask = pc.match_substring_regex(texts, pattern=pattern)
    return np.asarray(arrow.to_numpy(pc.cast(mask, pa.int8())), np.bool_)
