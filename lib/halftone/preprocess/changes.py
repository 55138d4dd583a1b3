"""Find the work of a run by comparing the listed images with those that the dataset knows.

Pure functions of two tables. An image is identified by its key. It has changed if its size or its
time of modification has changed. Known images that have not changed are not read again.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from halftone import arrow
from halftone.dataset import schema

# An image file in the listing of a folder or store.
LISTED_IMAGES = pa.schema(
    [
        pa.field(schema.KEY, pa.string()),
        pa.field(schema.SIZE_BYTES, pa.int64()),  # negative if the listing has no size
        pa.field(schema.MODIFIED, pa.float64()),  # seconds since 1970; 0 if the store has no time
    ]
)
# The columns of KNOWN_IMAGES that no file has.
STATUS = "status"
KEPT_KEY = "kept_key"
# An image of the previous version.
KNOWN_IMAGES = pa.schema(
    [
        *LISTED_IMAGES,
        pa.field(STATUS, pa.string()),  # ROW, DUPLICATE, or the reason of the rejection
        pa.field(KEPT_KEY, pa.string()),  # of a duplicate: the row with the same bytes
    ]
)

ROW, DUPLICATE, CONFLICT = "row", "duplicate", "conflict"
_CHANGE_COLUMNS = (schema.SIZE_BYTES, schema.MODIFIED)

Mask = npt.NDArray[np.bool_]


class Delta(NamedTuple):
    """The keys that a run must process; all other known images stay as they are."""

    to_read: pa.ChunkedArray  # listed images that are new, changed, or to be tried again
    to_remove: pa.ChunkedArray  # known images whose row, reject or duplicate is removed
    missing: pa.ChunkedArray  # known images that are no longer listed, but stay

    @property
    def is_empty(self) -> bool:
        return not len(self.to_read) and not len(self.to_remove)


def find_changes(
    listed_images: pa.Table,
    known_images: pa.Table,
    unusable_keys: pa.ChunkedArray,
    *,
    retry_rejects: bool = False,
    prune: bool = False,
) -> Delta:
    """Compare the listed images with the known ones.

    Args:
        listed_images: LISTED_IMAGES, the usable images that are in the folder now.
        known_images: KNOWN_IMAGES.
        unusable_keys: images that are in the folder too, and are rejected without being read.
        retry_rejects: read the rejected images again, and none that are new or changed.
        prune: remove images that no longer exist. Without it, no known image is removed.
    """
    known_keys, listed_keys = known_images[schema.KEY], listed_images[schema.KEY]
    listed_rows = arrow.index_in(known_keys, listed_keys)
    is_listed = listed_rows >= 0
    exists = is_listed | arrow.is_in(known_keys, unusable_keys)
    is_new = np.ones(listed_images.num_rows, bool)
    is_new[listed_rows[is_listed]] = False
    is_duplicate = _has_status(known_images, DUPLICATE)
    is_conflict = _has_status(known_images, CONFLICT)
    is_rejected = ~is_duplicate & ~_has_status(known_images, ROW)
    if retry_rejects:
        changed, is_new[:], prune = is_listed & is_rejected, False, False
    else:
        changed = _has_changed(known_images, listed_images, listed_rows)
    # A row or duplicate that exists but is no longer usable becomes a reject.
    removed = changed | (exists & ~is_listed & ~is_rejected) | (~exists & prune)
    # A duplicate depends on the row that was kept, a conflict on any image with the same bytes:
    # both are resolved again if that may have changed.
    removed |= is_duplicate & arrow.is_in(
        known_images[KEPT_KEY], _select_keys(known_images, removed)
    )
    if removed.any() or is_new.any():
        removed |= is_conflict & is_listed
    return Delta(
        to_read=arrow.concat_columns(
            _select_keys(known_images, removed & is_listed), _select_keys(listed_images, is_new)
        ),
        to_remove=_select_keys(known_images, removed),
        missing=_select_keys(known_images, ~exists & ~removed),
    )


def _has_status(known: pa.Table, status: str) -> Mask:
    return arrow.is_in(known[STATUS], arrow.string_array([status]))


def _has_changed(known: pa.Table, listed: pa.Table, listed_rows: npt.NDArray[np.int32]) -> Mask:
    """Return for each known image whether it is listed with another size or time.

    Args:
        listed_rows: the row of each known image in `listed`, or -1.
    """
    changed = np.zeros(known.num_rows, bool)
    rows = np.flatnonzero(listed_rows >= 0)
    size, modified = (arrow.to_numpy(listed[name])[listed_rows[rows]] for name in _CHANGE_COLUMNS)
    old_size, old_modified = (arrow.to_numpy(known[name])[rows] for name in _CHANGE_COLUMNS)
    changed[rows] = (size >= 0) & ((size != old_size) | (modified != old_modified))
    return changed


def _select_keys(table: pa.Table, mask: Mask) -> pa.ChunkedArray:
    return arrow.filter_rows(table.select([schema.KEY]), mask)[schema.KEY]
