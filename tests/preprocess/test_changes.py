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
    label: str = "cat"
    split: int = 0


class Known(NamedTuple):
    listed: Listed
    status: str
    kept_key: str = ""


A, B = Listed(1, 10.0), Listed(1, 11.0)
DOG, VALIDATION = Listed(1, 10.0, "dog"), Listed(1, 10.0, "cat", 1)
BEFORE = {
    "row": Known(A, "row"),
    "copy": Known(A, "duplicate", "row"),
    "bad": Known(A, "truncated"),
    "torn": Known(A, "conflict"),
}


def listed(**changed: Listed | None) -> dict[str, Listed]:
    """The listing of the known images, with changes; None: no longer listed."""
    images = {**dict.fromkeys(BEFORE, A), **changed}
    return {key: image for key, image in images.items() if image is not None}


def keys(names: str) -> pa.ChunkedArray:
    return arrow.chunked_string_array(names.split())


def compare(
    now: dict[str, Listed],
    before: dict[str, Known] = BEFORE,
    unusable: str = "",
    conflict_labels: dict[str, Listed] | None = None,
    **options: bool,
) -> Delta:
    """Compare; the labels of the conflicts were those of `conflict_labels`, by default as now."""
    listed_images = as_listed(now)
    conflicts = keys(" ".join(key for key, image in before.items() if image.status == "conflict"))
    return changes.find_changes(
        listed_images,
        table(KNOWN_IMAGES, *((key, *image.listed, *image[1:]) for key, image in before.items())),
        keys(unusable),
        conflict_labels=changes.digest_labels(as_listed(conflict_labels or now), conflicts),
        **options,
    )


def as_listed(images: dict[str, Listed]) -> pa.Table:
    return table(LISTED_IMAGES, *((key, *image) for key, image in images.items()))


def sets(delta: Delta) -> tuple[set[str], ...]:
    for column in delta:
        assert len(set(column.to_pylist())) == len(column)
    return tuple(set(column.to_pylist()) for column in delta)


def expected(
    read: str = "", removed: str = "", missing: str = "", moved: str = ""
) -> tuple[set[str], ...]:
    return tuple(set(names.split()) for names in (read, moved, removed, missing))


def test_nothing_changed() -> None:
    assert sets(compare(listed())) == expected()
    assert compare(listed()).is_empty


def test_all_images_are_new_to_an_empty_dataset() -> None:
    delta = compare(listed(), {})
    assert delta.to_read.to_pylist() == ["row", "copy", "bad", "torn"]
    assert sets(delta) == expected(read="row copy bad torn")
    assert not delta.is_empty


def test_unlisted_images_are_missing() -> None:
    assert sets(compare({})) == expected(missing="row copy bad torn")


def test_a_new_image_is_read_and_conflicts_are_resolved_again() -> None:
    assert sets(compare(listed(new=A))) == expected(read="new torn", removed="torn")


def test_duplicates_of_a_changed_row_are_read_again() -> None:
    delta = compare(listed(row=B))
    assert sets(delta) == expected(read="row copy torn", removed="row copy torn")


def test_a_missing_duplicate_of_a_changed_row_is_removed() -> None:
    # No image has its bytes any more, and it cannot be read again.
    delta = compare(listed(row=B, copy=None))
    assert sets(delta) == expected(read="row torn", removed="row copy torn")


def test_another_size_is_a_change() -> None:
    delta = compare(listed(bad=Listed(2, 10.0)))
    assert sets(delta) == expected(read="bad torn", removed="bad torn")


def test_a_listing_without_sizes_shows_no_changes() -> None:
    assert sets(compare(dict.fromkeys(BEFORE, Listed(-1, 0.0)))) == expected()


def test_missing_images_stay_unless_they_are_pruned() -> None:
    assert sets(compare(listed(row=None))) == expected(missing="row")
    delta = compare(listed(row=None), prune=True)
    assert sets(delta) == expected(read="copy torn", removed="row copy torn")


def test_images_that_became_unusable_are_removed_and_not_missing() -> None:
    delta = compare(listed(row=None, bad=None), unusable="row bad new")
    assert sets(delta) == expected(read="copy torn", removed="row copy torn")
    assert sets(compare(listed(bad=None), unusable="bad")) == expected()


def test_retry_rejects_reads_only_rejected_images() -> None:
    delta = compare(listed(new=A, row=B, torn=None), retry_rejects=True)
    assert sets(delta) == expected(read="bad", removed="bad", missing="torn")


def test_another_label_or_split_moves_a_row_and_reads_nothing_else() -> None:
    before = {**BEFORE, "other": Known(A, "row")}
    del before["copy"], before["torn"]
    for image in (DOG, VALIDATION):
        assert sets(compare({"row": image, "bad": image, "other": A}, before)) == expected(
            moved="row"
        )


def test_copies_of_a_row_with_another_label_are_read_and_those_with_another_split_not() -> None:
    assert sets(compare(listed(row=DOG))) == expected("copy torn", "copy torn", moved="row")
    assert sets(compare(listed(row=DOG, copy=None, torn=None))) == expected(
        moved="row", missing="copy torn"
    )
    assert sets(compare(listed(row=VALIDATION, torn=None))) == expected(moved="row", missing="torn")
    assert sets(compare(listed(copy=DOG))) == expected("copy torn", "copy torn")


def test_a_changed_file_with_another_label_is_read_and_not_moved() -> None:
    changed = Listed(2, 10.0, "dog")
    assert sets(compare({"row": changed}, {"row": Known(A, "row")})) == expected("row", "row")


def test_an_image_that_gets_its_first_label_is_read() -> None:
    before = {"row": Known(A, "row"), "new": Known(A, "unlabelled")}
    assert sets(compare({"row": A, "new": A}, before)) == expected("new", "new")
    assert sets(compare({"row": A}, before, unusable="new")) == expected()


def test_conflicts_are_read_again_if_their_labels_change_or_a_file_is_gone() -> None:
    before = {name: Known(A, "conflict") for name in ("torn", "apart")}
    assert sets(compare({"torn": A, "apart": DOG}, before)) == expected()
    delta = compare({"torn": A, "apart": A}, before, conflict_labels={"torn": A, "apart": DOG})
    assert sets(delta) == expected("torn apart", "torn apart")
    # The conflict with a file that no longer exists ends without --prune.
    assert sets(compare({"apart": DOG}, before)) == expected("apart", "torn apart")
    assert sets(compare({}, before)) == expected(missing="torn apart")


def test_retry_rejects_moves_no_row() -> None:
    assert sets(compare(listed(row=DOG), retry_rejects=True)) == expected("bad torn", "bad torn")


KEYS = st.sampled_from("abcdefgh")
LISTINGS = st.dictionaries(KEYS, st.sampled_from([A, B, DOG, VALIDATION]))
STATUS = st.sampled_from(["row", "duplicate", "truncated", "conflict"])
IMAGES = st.builds(Known, st.sampled_from([A, B]), STATUS, KEYS)


@given(LISTINGS, st.dictionaries(KEYS, IMAGES), st.sets(KEYS), st.booleans(), st.booleans())
def test_no_image_is_lost_and_none_is_processed_twice(
    now: dict[str, Listed],
    before: dict[str, Known],
    unusable: set[str],
    retry: bool,
    prune: bool,
) -> None:
    now = {key: listed_image for key, listed_image in now.items() if key not in unusable}
    delta = compare(now, before, " ".join(unusable), retry_rejects=retry, prune=prune)
    read, moved, removed, missing = sets(delta)
    stays = set(before) - removed
    assert moved <= stays & set(now) - read
    assert all(before[key].status == "row" for key in moved)
    assert not stays & read  # no image is both kept and read again
    assert read <= set(now)
    assert missing <= stays
    # Listed images stay or are read; with retry, new ones are ignored.
    processed = set(before) & set(now) if retry else set(now)
    assert processed <= stays | read
    # Unlisted images are removed only if pruned, if they were duplicates of a removed image, or
    # conflicts, if others are resolved again.
    lost = set(before) - set(now) - unusable - stays
    assert all(
        (prune and not retry)
        or (before[key].status == "duplicate" and before[key].kept_key in removed)
        or before[key].status == "conflict"
        for key in lost
    )
    assert (
        not stays
        & unusable
        & {key for key, image in before.items() if image.status in ("row", "duplicate")}
    )
