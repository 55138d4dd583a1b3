"""How a listed image and a known image with the same key compare, and what follows.

An image has changed if its size or its time of modification has changed. Known images that have
not changed are not read again: if only the label or the split of a row has changed, its pixels are
taken from the dataset.

A duplicate depends on the row that was kept, and a conflict on any image with the same bytes. What
becomes of them is known only when all images are compared.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple, Optional

from halftone.preprocess.entries import CONFLICT, DUPLICATE, ROW, UNLABELLED
from halftone.preprocess.row_notes import DROPPED, GONE, MOVED

# What is in the columns of a listed image and a known one, joined by key. Columns that both have
# begin with KNOWN_PREFIX for the known image.
KNOWN_PREFIX = "known_"
CHANGE = "change"

# Changes. Images that stay as they are have none.
NEW = "new"
READ_AGAIN = "read again"  # it has changed, or is tried again
CONFLICT_READ_AGAIN = "conflict read again"  # the same, of a conflict
REJECTED = "rejected"  # it is new, and rejected without being read
REJECTED_AGAIN = "rejected again"  # it was rejected before
NO_LONGER_USABLE = "no longer usable"  # a row or duplicate that is now rejected without being read
RELABELLED = "relabelled"  # a row with another label
MOVED_TO_SPLIT = "moved to split"  # a row with the same label and another split
REMOVED = "removed"  # it no longer exists and is removed
GONE_ROW = "gone row"  # it no longer exists and stays
GONE_REJECT = "gone reject"
GONE_DUPLICATE = "gone duplicate"  # it no longer exists and stays, unless the kept row has changed
GONE_CONFLICT = "gone conflict"  # it no longer exists and stays, unless conflicts are read again
LISTED_DUPLICATE = "listed duplicate"  # it is read again if the kept row has changed
LISTED_CONFLICT = "listed conflict"  # it is read again if any other image has changed
# Of GONE_DUPLICATE, when all kept rows were looked up.
RETAINED_DUPLICATE = "retained duplicate"

UNUSABLE_CHANGES = (REJECTED, REJECTED_AGAIN, NO_LONGER_USABLE)
# Known images that no longer exist and have a label.
GONE_WITH_LABEL = (GONE_ROW, GONE_DUPLICATE, RETAINED_DUPLICATE)


class Effect(NamedTuple):
    """What follows from a change."""

    is_work: bool = False  # the image is read, or rejected without being read
    note: str = ""  # on the row of the known image, see row_notes
    is_removed: bool = False  # counted as removed


_EFFECTS = {
    NEW: Effect(is_work=True),
    READ_AGAIN: Effect(True, DROPPED, True),
    CONFLICT_READ_AGAIN: Effect(True, DROPPED, True),
    REJECTED: Effect(is_work=True),
    REJECTED_AGAIN: Effect(True, DROPPED),
    NO_LONGER_USABLE: Effect(True, DROPPED, True),
    RELABELLED: Effect(note=MOVED),
    MOVED_TO_SPLIT: Effect(note=MOVED),
    REMOVED: Effect(False, DROPPED, True),
    **dict.fromkeys((GONE_ROW, GONE_REJECT, GONE_CONFLICT), Effect(note=GONE)),
    **dict.fromkeys((GONE_DUPLICATE, RETAINED_DUPLICATE), Effect(note=GONE)),
    LISTED_DUPLICATE: Effect(),
    LISTED_CONFLICT: Effect(),
}
# Changes after which duplicates of the image are resolved again; after the last, listed ones only.
_REMOVING = tuple(change for change, effect in _EFFECTS.items() if effect.is_removed)
KEPT_ROW_CHANGES = (*_REMOVING, RELABELLED)
UNDECIDED_DUPLICATES = (LISTED_DUPLICATE, GONE_DUPLICATE)
# Changes after which listed conflicts are resolved again.
CONFLICT_CAUSES = (*KEPT_ROW_CHANGES, NEW, MOVED_TO_SPLIT, GONE_CONFLICT)


def find_effects(*, duplicates_decided: bool, conflicts_read_again: bool) -> dict[str, Effect]:
    """Return the effect of each change.

    Args:
        duplicates_decided: `duplicate_changes` has found the changes of all duplicates.
        conflicts_read_again: an image has changed, so conflicts are resolved again.
    """
    effects = dict(_EFFECTS)
    if duplicates_decided:
        effects[GONE_DUPLICATE] = Effect()
    if conflicts_read_again:
        effects[LISTED_CONFLICT] = effects[CONFLICT_READ_AGAIN]
        # A file that no longer exists conflicts with none.
        effects[GONE_CONFLICT] = effects[REMOVED]
    return effects


def compare_sql(*, retry_rejects: bool, prune: bool, can_move: bool) -> str:
    """Return a SQL expression for the change of an image; null if it stays as it is.

    Args:
        retry_rejects: see changes.find_changes, as for the other arguments.
    """
    branches = (
        f"WHEN {condition} THEN {'NULL' if change is None else repr(change)}"
        for condition, change in _rules(retry_rejects, prune, can_move)
    )
    return f"CASE {' '.join(branches)} END"


def _rules(retry_rejects: bool, prune: bool, can_move: bool) -> Iterator[tuple[str, Optional[str]]]:
    """Yield conditions and the changes that they mean; the first that is true counts.

    The reason is null if the image is not listed, the status if it is not known.
    """
    yield f"status IS NULL AND {_UNUSABLE}", REJECTED
    yield "status IS NULL", None if retry_rejects else NEW
    yield f"{_UNUSABLE} AND {_REJECT}", REJECTED_AGAIN
    yield _UNUSABLE, NO_LONGER_USABLE
    has_changed = _REJECT if retry_rejects else _has_changed(can_move)
    yield f"{_LISTED} AND ({has_changed}) AND status = '{CONFLICT}'", CONFLICT_READ_AGAIN
    yield f"{_LISTED} AND ({has_changed})", READ_AGAIN
    if not retry_rejects:
        yield f"{_LISTED} AND status = '{ROW}' AND {_OTHER_LABEL}", RELABELLED
        yield f"{_LISTED} AND status = '{ROW}' AND {_OTHER_SPLIT}", MOVED_TO_SPLIT
    yield f"{_LISTED} AND status = '{DUPLICATE}'", LISTED_DUPLICATE
    yield f"{_LISTED} AND status = '{CONFLICT}'", LISTED_CONFLICT
    yield _LISTED, None
    if prune and not retry_rejects:
        yield "TRUE", REMOVED
    yield f"status = '{ROW}'", GONE_ROW
    yield f"status = '{DUPLICATE}'", GONE_DUPLICATE
    yield f"status = '{CONFLICT}'", GONE_CONFLICT
    yield "TRUE", GONE_REJECT


_LISTED, _UNUSABLE = "reason = ''", "reason <> ''"
_REJECT = f"status NOT IN ('{ROW}', '{DUPLICATE}')"
_OTHER_LABEL, _OTHER_SPLIT = (f"{name} <> {KNOWN_PREFIX}{name}" for name in ("label", "split"))
# Without a size in the listing, changes are not detected.
_OTHER_FILE = (
    f"size_bytes >= 0 AND (size_bytes <> {KNOWN_PREFIX}size_bytes "
    f"OR modified <> {KNOWN_PREFIX}modified)"
)


def _has_changed(can_move: bool) -> str:
    conditions = [
        _OTHER_FILE,
        f"status = '{UNLABELLED}'",  # without a label it was not read
        f"status = '{DUPLICATE}' AND {_OTHER_LABEL}",  # it has no pixels to move
    ]
    if not can_move:
        conditions.append(f"status = '{ROW}' AND ({_OTHER_LABEL} OR {_OTHER_SPLIT})")
    return " OR ".join(f"({condition})" for condition in conditions)
