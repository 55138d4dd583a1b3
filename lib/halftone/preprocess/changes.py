"""What a run has to do, given what the dataset knows already: pure, from two listings.

An image is known by its key; it has changed when its size or its time of modification has. What is
known and has not changed is not read again.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from halftone import arrow

# How a store lists a file, and by which a change is seen.
LISTED_IMAGES = pa.schema(
    [
        pa.field("key", pa.string()),
        pa.field("size_bytes", pa.int64()),  # negative where the listing does not say
        pa.field("modified", pa.float64()),  # seconds since 1970; 0 where the store does not say
    ]
)
# What the dataset knows of an image.
KNOWN_IMAGES = pa.schema(
    [
        *LISTED_IMAGES,
        pa.field("status", pa.string()),  # ROW, DUPLICATE, or the reason for which it was rejected
        pa.field("kept_key", pa.string()),  # of a duplicate: the row with the same bytes
    ]
)

ROW, DUPLICATE, CONFLICT = "row", "duplicate", "conflict"
_CHANGE_COLUMNS = ("size_bytes", "modified")

Mask = npt.NDArray[np.bool_]


class Delta(NamedTuple):
    """The keys that a run must look at; all other known ones stay what they are."""

    to_read: pa.ChunkedArray  # listed ones that are new, changed, or to be tried again
    to_remove: pa.ChunkedArray  # known ones whose old row, reject or duplicate goes
    missing: pa.ChunkedArray  # known ones that are no longer listed, and stay all the same

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
    """Say what a run has to do.

    Args:
        listed: LISTED, what is in the folder of images now, and can be used.
        known: KNOWN.
        unusable: keys of what is there too, and is rejected without a look at it.
        retry_rejects: read the rejected ones again, and nothing that is new or changed.
        prune: forget what is no longer there. Without it nothing that is known is lost.
    """
    place = arrow.index_in(known_images["key"], listed_images["key"])
    is_listed = place >= 0
    is_there = is_listed | arrow.is_in(known_images["key"], unusable_keys)
    is_new = np.ones(listed_images.num_rows, bool)
    is_new[place[is_listed]] = False
    is_duplicate, is_conflict = (
        _has_status(known_images, DUPLICATE),
        _has_status(known_images, CONFLICT),
    )
    is_rejected = ~is_duplicate & ~_has_status(known_images, ROW)
    if retry_rejects:
        changed, is_new[:], prune = is_listed & is_rejected, False, False
    else:
        changed = _has_changed(known_images, listed_images, place)
    # What was a row, and can no longer be used, becomes a reject.
    forget = changed | (is_there & ~is_listed & ~is_rejected) | (~is_there & prune)
    # An image was only a copy, or in conflict, because of others: it is judged anew with them.
    forget |= is_duplicate & arrow.is_in(
        known_images["kept_key"], _select_keys(known_images, forget)
    )
    if forget.any() or is_new.any():
        forget |= is_conflict & is_listed
    return Delta(
        to_read=arrow.concat_columns(
            _select_keys(known_images, forget & is_listed), _select_keys(listed_images, is_new)
        ),
        to_remove=_select_keys(known_images, forget),
        missing=_select_keys(known_images, ~is_there & ~forget),
    )


def _has_status(known: pa.Table, status: str) -> Mask:
    return arrow.is_in(known["status"], arrow.string_array([status]))


def _has_changed(known: pa.Table, listed: pa.Table, place: npt.NDArray[np.int32]) -> Mask:
    """Whether what is known is listed (at `place`) and no longer as it was."""
    differs = np.zeros(known.num_rows, bool)
    rows = np.flatnonzero(place >= 0)
    size, modified = (arrow.to_numpy(listed[name])[place[rows]] for name in _CHANGE_COLUMNS)
    size_before, modified_before = (arrow.to_numpy(known[name])[rows] for name in _CHANGE_COLUMNS)
    differs[rows] = (size >= 0) & ((size != size_before) | (modified != modified_before))
    return differs


def _select_keys(table: pa.Table, mask: Mask) -> pa.ChunkedArray:
    return arrow.filter_rows(table.select(["key"]), mask)["key"]
