from __future__ import annotations

from typing import NamedTuple

import pyarrow as pa
from hypothesis import given
from hypothesis import strategies as st

from halftone import arrow
from halftone.preprocess import changes
from halftone.preprocess.changes import KNOWN_IMAGES, LISTED_IMAGES, Delta
from tables import table


class Listed(NamedTuple):
    size_bytes: int
    modified: float


class Known(NamedTuple):
    listed: Listed
    status: str
    kept_key: str = ""


A, B = Listed(1, 10.0), Listed(1, 11.0)
BEFORE = {
    "row": Known(A, "row"),
    "copy": Known(A, "duplicate", "row"),
    "bad": Known(A, "truncated"),
    "torn": Known(A, "conflict"),
}


def listed(**changed: Listed | None) -> dict[str, Listed]:
    """All that is known, as it was, but for the changes; None: no longer there."""
    all_ = {**dict.fromkeys(BEFORE, A), **changed}
    return {key: value for key, value in all_.items() if value is not None}


def keys(names: str) -> pa.ChunkedArray:
    return arrow.chunked_string_array(names.split())


def compare(
    now: dict[str, Listed],
    before: dict[str, Known] = BEFORE,
    unusable: str = "",
    **asked: bool,
) -> Delta:
    return changes.find_changes(
        table(LISTED_IMAGES, *((key, *of_key) for key, of_key in now.items())),
        table(KNOWN_IMAGES, *((key, *image.listed, *image[1:]) for key, image in before.items())),
        keys(unusable),
        **asked,
    )


def sets(found: Delta) -> tuple[set[str], ...]:
    for column in found:
        assert len(set(column.to_pylist())) == len(column)
    return tuple(set(column.to_pylist()) for column in found)


def delta(read: str = "", forget: str = "", gone: str = "") -> tuple[set[str], ...]:
    return tuple(set(names.split()) for names in (read, forget, gone))


def test_nothing_changed() -> None:
    assert sets(compare(listed())) == delta()
    assert compare(listed()).is_empty


def test_all_is_new_to_an_empty_dataset() -> None:
    found = compare(listed(), {})
    assert found.to_read.to_pylist() == ["row", "copy", "bad", "torn"]
    assert sets(found) == delta(read="row copy bad torn")
    assert not found.is_empty


def test_nothing_is_listed() -> None:
    assert sets(compare({})) == delta(gone="row copy bad torn")


def test_a_new_image_is_read_and_conflicts_are_judged_again_with_it() -> None:
    assert sets(compare(listed(new=A))) == delta(read="new torn", forget="torn")


def test_a_changed_row_takes_its_copies_with_it() -> None:
    found = compare(listed(row=B))
    assert sets(found) == delta(read="row copy torn", forget="row copy torn")


def test_a_copy_that_is_gone_goes_when_its_row_has_changed() -> None:
    # Nothing has its bytes any more, and it cannot be read again.
    found = compare(listed(row=B, copy=None))
    assert sets(found) == delta(read="row torn", forget="row copy torn")


def test_another_size_is_a_change_too() -> None:
    found = compare(listed(bad=Listed(2, 10.0)))
    assert sets(found) == delta(read="bad torn", forget="bad torn")


def test_a_listing_without_sizes_tells_of_no_change() -> None:
    assert sets(compare(dict.fromkeys(BEFORE, Listed(-1, 0.0)))) == delta()


def test_what_is_gone_stays_unless_it_is_pruned() -> None:
    assert sets(compare(listed(row=None))) == delta(gone="row")
    found = compare(listed(row=None), prune=True)
    assert sets(found) == delta(read="copy torn", forget="row copy torn")


def test_what_is_there_and_of_no_use_any_more_is_forgotten_and_not_gone() -> None:
    found = compare(listed(row=None, bad=None), unusable="row bad new")
    assert sets(found) == delta(read="copy torn", forget="row copy torn")
    assert sets(compare(listed(bad=None), unusable="bad")) == delta()


def test_rejects_are_tried_again_and_nothing_else() -> None:
    found = compare(listed(new=A, row=B, torn=None), retry_rejects=True)
    assert sets(found) == delta(read="bad", forget="bad", gone="torn")


KEYS = st.sampled_from("abcdefgh")
LISTINGS = st.dictionaries(KEYS, st.sampled_from([A, B]))
STATUS = st.sampled_from(["row", "duplicate", "truncated", "conflict"])
IMAGES = st.builds(Known, st.sampled_from([A, B]), STATUS, KEYS)


@given(LISTINGS, st.dictionaries(KEYS, IMAGES), st.sets(KEYS), st.booleans(), st.booleans())
def test_no_key_is_lost_and_none_is_counted_twice(
    now: dict[str, Listed],
    before: dict[str, Known],
    unusable: set[str],
    retry: bool,
    prune: bool,
) -> None:
    now = {key: of_key for key, of_key in now.items() if key not in unusable}
    found = compare(now, before, " ".join(unusable), retry_rejects=retry, prune=prune)
    read, forget, gone = sets(found)
    stays = set(before) - forget
    assert not stays & read  # nothing is both kept and read again
    assert read <= set(now)
    assert gone <= stays
    # What is there stays or is read, unless its like must not be looked at.
    expected = set(before) & set(now) if retry else set(now)
    assert expected <= stays | read
    # What is not there goes only when it is pruned, or was a copy of what goes.
    lost = set(before) - set(now) - unusable - stays
    assert all(
        (prune and not retry)
        or (before[key].status == "duplicate" and before[key].kept_key in forget)
        for key in lost
    )
    assert (
        not stays
        & unusable
        & {key for key, image in before.items() if image.status in ("row", "duplicate")}
    )
