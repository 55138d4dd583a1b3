from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from halftone import incremental
from halftone.incremental import Delta, Known, Listed

A, B = Listed(1, 10.0), Listed(1, 11.0)
KNOWN = {
    "row": Known(A, "row"),
    "copy": Known(A, "duplicate", "row"),
    "bad": Known(A, "truncated"),
    "torn": Known(A, "conflict"),
}


def listed(**changes: Listed | None) -> dict[str, Listed]:
    """All that is known, as it was, but for the changes; None: no longer there."""
    all_ = {**dict.fromkeys(KNOWN, A), **changes}
    return {key: value for key, value in all_.items() if value is not None}


def delta(read: str = "", forget: str = "", gone: str = "") -> Delta:
    return Delta(*(frozenset(keys.split()) for keys in (read, forget, gone)))


def test_nothing_changed() -> None:
    assert incremental.compare(listed(), KNOWN) == delta()
    assert incremental.compare(listed(), KNOWN).is_empty


def test_all_is_new_to_an_empty_dataset() -> None:
    assert incremental.compare(listed(), {}) == delta(read="row copy bad torn")


def test_a_new_image_is_read_and_conflicts_are_judged_again_with_it() -> None:
    found = incremental.compare(listed(new=A), KNOWN)
    assert found == delta(read="new torn", forget="torn")


def test_a_changed_row_takes_its_copies_with_it() -> None:
    found = incremental.compare(listed(row=B), KNOWN)
    assert found == delta(read="row copy torn", forget="row copy torn")


def test_another_size_is_a_change_too() -> None:
    found = incremental.compare(listed(bad=Listed(2, 10.0)), KNOWN)
    assert found == delta(read="bad torn", forget="bad torn")


def test_a_listing_without_sizes_tells_of_no_change() -> None:
    unknown = Listed(-1, 0.0)
    assert incremental.compare(dict.fromkeys(KNOWN, unknown), KNOWN) == delta()


def test_what_is_gone_stays_unless_it_is_pruned() -> None:
    assert incremental.compare(listed(row=None), KNOWN) == delta(gone="row")
    found = incremental.compare(listed(row=None), KNOWN, prune=True)
    assert found == delta(read="copy torn", forget="row copy torn")


def test_rejects_are_tried_again_and_nothing_else() -> None:
    found = incremental.compare(listed(new=A, row=B, torn=None), KNOWN, retry_rejects=True)
    assert found == delta(read="bad", forget="bad", gone="torn")


KEYS = st.sampled_from("abcdefgh")
LISTED = st.dictionaries(KEYS, st.sampled_from([A, B]))
STATES = st.tuples(st.sampled_from([A, B]), st.sampled_from(["row", "truncated", "conflict"]))


@given(LISTED, st.dictionaries(KEYS, STATES), st.booleans(), st.booleans())
def test_no_key_is_lost_and_none_is_counted_twice(
    now: dict[str, Listed], before: dict[str, tuple[Listed, str]], retry: bool, prune: bool
) -> None:
    known = {key: Known(*state) for key, state in before.items()}
    found = incremental.compare(now, known, retry_rejects=retry, prune=prune)
    stays = set(known) - found.forget
    assert not stays & found.read  # nothing is both kept and read again
    assert found.read <= set(now)
    expected = set(known) if retry else set(now) if prune else set(known) | set(now)
    assert stays | found.read == expected
