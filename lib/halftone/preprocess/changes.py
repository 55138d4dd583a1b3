"""Find the work of a run by comparing the listed images with those that the dataset knows.

Pure functions of two tables. An image is identified by its key. It has changed if its size or its
time of modification has changed. Known images that have not changed are not read again: if only the
label or the split of a row has changed, its pixels are taken from the dataset.
"""

from __future__ import annotations

import hashlib
from typing import NamedTuple

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from halftone import arrow
from halftone.dataset import schema

# An image file in the listing of a folder or store.
LISTED_IMAGES = pa.schema(
    [
        pa.field(schema.KEY, pa.string()),
        pa.field(schema.SIZE_BYTES, pa.int64()),  # negative if the listing has no size
        pa.field(schema.MODIFIED, pa.float64()),  # seconds since 1970; 0 if the store has no time
        pa.field(schema.LABEL, pa.string()),
        pa.field(schema.SPLIT, pa.int8()),  # index in splits.SPLITS
    ]
)
# The columns of KNOWN_IMAGES that no file has.
STATUS = "status"
KEPT_KEY = "kept_key"
# An image of the previous version. A reject has no label and no split, a duplicate no split.
KNOWN_IMAGES = pa.schema(
    [
        *LISTED_IMAGES,
        pa.field(STATUS, pa.string()),  # ROW, DUPLICATE, or the reason of the rejection
        pa.field(KEPT_KEY, pa.string()),  # of a duplicate: the row with the same bytes
    ]
)

ROW, DUPLICATE, CONFLICT, UNLABELLED = "row", "duplicate", "conflict", "unlabelled"
NO_SPLIT = -1

Mask = npt.NDArray[np.bool_]


class Delta(NamedTuple):
    """The keys that a run must process; all other known images stay as they are."""

    to_read: pa.ChunkedArray  # listed images that are new, changed, or to be tried again
    to_move: pa.ChunkedArray  # known rows that get another label or split, and are not read
    to_remove: pa.ChunkedArray  # known images whose row, reject or duplicate is removed
    missing: pa.ChunkedArray  # known images that are no longer listed, but stay

    @property
    def is_empty(self) -> bool:
        return not any(map(len, (self.to_read, self.to_move, self.to_remove)))


def find_changes(
    listed_images: pa.Table,
    known_images: pa.Table,
    unusable_keys: pa.ChunkedArray,
    *,
    retry_rejects: bool = False,
    prune: bool = False,
    conflict_labels: str = "",
) -> Delta:
    """Compare the listed images with the known ones.

    Args:
        listed_images: LISTED_IMAGES, the usable images that are in the folder now.
        known_images: KNOWN_IMAGES.
        unusable_keys: images that are in the folder too, and are rejected without being read.
        retry_rejects: read the rejected images again, and none that are new or changed.
        prune: remove images that no longer exist. Without it, known rows, duplicates and rejects
            are kept, except a conflict with an image that exists.
        conflict_labels: `digest_labels` of the conflicts of the previous version.
    """
    known_keys, listed_keys = known_images[schema.KEY], listed_images[schema.KEY]
    listed_rows = arrow.index_in(known_keys, listed_keys)
    is_listed = listed_rows >= 0
    exists = is_listed | arrow.is_in(known_keys, unusable_keys)
    is_new = np.ones(listed_images.num_rows, bool)
    is_new[listed_rows[is_listed]] = False
    is_row = _has_status(known_images, ROW)
    is_duplicate = _has_status(known_images, DUPLICATE)
    is_conflict = _has_status(known_images, CONFLICT)
    is_rejected = ~is_duplicate & ~is_row
    is_moved = np.zeros(known_images.num_rows, bool)
    is_relabelled = is_moved
    if retry_rejects:
        changed, is_new[:], prune = is_listed & is_rejected, False, False
    else:
        changed = _has_changed(known_images, listed_images, listed_rows)
        # An image that had no label was not read.
        changed |= is_listed & _has_status(known_images, UNLABELLED)
        is_relabelled = _differs(known_images, listed_images, listed_rows, schema.LABEL)
        changed |= is_duplicate & is_relabelled  # it has no pixels to move
        is_moved = is_relabelled | _differs(known_images, listed_images, listed_rows, schema.SPLIT)
    # A row or duplicate that exists but is no longer usable becomes a reject.
    removed = changed | (exists & ~is_listed & ~is_rejected) | (~exists & prune)
    is_moved &= is_row & ~removed
    # A duplicate depends on the row that was kept, a conflict on any image with the same bytes:
    # both are resolved again if that may have changed.
    resolved_keys = _select_keys(known_images, removed)
    relabelled_keys = _select_keys(known_images, is_moved & is_relabelled)
    removed |= is_duplicate & arrow.is_in(known_images[KEPT_KEY], resolved_keys)
    removed |= is_duplicate & is_listed & arrow.is_in(known_images[KEPT_KEY], relabelled_keys)
    listed_conflicts, gone_conflicts = is_conflict & is_listed, is_conflict & ~exists
    if listed_conflicts.any() and (
        removed.any()
        or is_new.any()
        or is_moved.any()
        or gone_conflicts.any()
        or digest_labels(listed_images, _select_keys(known_images, is_conflict)) != conflict_labels
    ):
        # A file that no longer exists conflicts with none.
        removed |= listed_conflicts | gone_conflicts
    return Delta(
        to_read=arrow.concat_columns(
            _select_keys(known_images, removed & is_listed), _select_keys(listed_images, is_new)
        ),
        to_move=_select_keys(known_images, is_moved),
        to_remove=_select_keys(known_images, removed),
        missing=_select_keys(known_images, ~exists & ~removed),
    )


def digest_labels(listed_images: pa.Table, keys: pa.ChunkedArray) -> str:
    """Digest the labels of the listed images that have these keys; empty if there are none."""
    images = listed_images.select([schema.KEY, schema.LABEL])
    images = arrow.filter_rows(images, arrow.is_in(images[schema.KEY], keys))
    if not images.num_rows:
        return ""
    digest = hashlib.blake2b(digest_size=16)
    order = arrow.to_numpy(pc.sort_indices(images[schema.KEY]))
    arrow.update_digest(digest, arrow.take_rows(images, order))
    return digest.hexdigest()


def _has_status(known: pa.Table, status: str) -> Mask:
    return arrow.is_in(known[STATUS], arrow.string_array([status]))


def _has_changed(known: pa.Table, listed: pa.Table, listed_rows: npt.NDArray[np.int32]) -> Mask:
    """Return for each known image whether it is listed with another size or time.

    Args:
        listed_rows: the row of each known image in `listed`, or -1.
    """
    changed = _differs(known, listed, listed_rows, schema.SIZE_BYTES)
    changed |= _differs(known, listed, listed_rows, schema.MODIFIED)
    has_size = arrow.to_numpy(listed[schema.SIZE_BYTES]) >= 0
    rows = np.flatnonzero(changed)
    changed[rows] = has_size[listed_rows[rows]]
    return changed


def _differs(
    known: pa.Table, listed: pa.Table, listed_rows: npt.NDArray[np.int32], name: str
) -> Mask:
    """Return for each known image whether it is listed with another value of a column."""
    rows = np.flatnonzero(listed_rows >= 0)
    old = arrow.take_rows(known.select([name]), rows)[name]
    new = arrow.take_rows(listed.select([name]), listed_rows[rows])[name]
    differs = np.zeros(known.num_rows, bool)
    differs[rows] = arrow.to_numpy(pc.cast(pc.not_equal(old, new), pa.int8())) != 0
    return differs


def _select_keys(table: pa.Table, mask: Mask) -> pa.ChunkedArray:
    return arrow.filter_rows(table.select([schema.KEY]), mask)[schema.KEY]
