"""Duplicates among images of the previous version and new images; no files, no Spark."""

from __future__ import annotations

import pyarrow as pa

from halftone import arrow
from halftone.dataset import schema
from halftone.dataset.shard_files import ShardFile
from halftone.preprocess import decode_block, duplicates
from halftone.preprocess.duplicates import Candidates, NearDuplicate, Resolution
from halftone.preprocess.previous_version import EMPTY_VERSION, PreviousVersion
from tables import digest, table

SMALL, LARGE = 100, 100_000  # bytes; the digest of a large file does not cover all of it


PART = pa.schema([field for field in decode_block.PART if field.name != "image"])


def part(*images: tuple[str, str, str, int], size: int = SMALL, status: str = "ok") -> pa.Table:
    """A staged part of (key, label, digest, hash) tuples, all in split 0."""
    return table(
        PART,
        *(
            (key, label, 0, status, "", 1, 1, size, 1.5, digest(name), bits)
            for key, label, name, bits in images
        ),
    )


def previous(rows: pa.Table, split: str = "test") -> PreviousVersion:
    shard = ShardFile(path="s", split=split, rows=rows.num_rows, size_bytes=1, digest="")
    return PreviousVersion([("/s", shard, rows)], EMPTY_VERSION.rejects, EMPTY_VERSION.duplicates)


def make_candidates(new: pa.Table, before: PreviousVersion = EMPTY_VERSION) -> Candidates:
    return Candidates(before, [], [("/p", new)])


def resolve(candidates: Candidates, **full_digests: str) -> dict[str, Resolution]:
    return duplicates.resolve_exact_duplicates(duplicates.group_by_digest(candidates), full_digests)


def test_equal_images_with_one_label_are_duplicates_of_the_first_by_path() -> None:
    candidates = make_candidates(
        part(("b", "cat", "x", 0), ("a", "cat", "x", 0), ("c", "cat", "y", 0))
    )
    assert resolve(candidates) == {"b": Resolution("duplicate", "a")}


def test_an_old_row_is_kept_rather_than_a_new_image() -> None:
    before = previous(part(("z", "cat", "x", 0)))
    candidates = make_candidates(part(("a", "cat", "x", 0)), before)
    assert resolve(candidates) == {"a": Resolution("duplicate", "z")}


def test_an_old_duplicate_is_kept_rather_than_a_new_image() -> None:
    known = table(schema.DUPLICATES, ("z", "gone", SMALL, 1.5, "cat", digest("x")))
    before = PreviousVersion([], EMPTY_VERSION.rejects, known)
    candidates = make_candidates(part(("a", "cat", "x", 0)), before)
    assert resolve(candidates) == {"a": Resolution("duplicate", "z")}


def test_groups_share_a_digest_and_contain_a_new_image() -> None:
    before = previous(part(("s", "cat", "x", 0), ("t", "cat", "y", 0), ("u", "cat", "y", 0)))
    candidates = make_candidates(
        part(("b", "dog", "x", 0), ("a", "cat", "x", 0), ("c", "cat", "z", 0)), before
    )
    groups = duplicates.group_by_digest(candidates)
    assert groups == [[(0, "s", "cat", 100), (2, "b", "dog", 100), (2, "a", "cat", 100)]]


def test_equal_images_with_two_labels_are_both_conflicts() -> None:
    before = previous(part(("old", "cat", "x", 0)))
    candidates = make_candidates(part(("new", "dog", "x", 0)), before)
    assert resolve(candidates) == {
        "old": Resolution("conflict", "label 'cat', but new has the same bytes and label 'dog'"),
        "new": Resolution("conflict", "label 'dog', but old has the same bytes and label 'cat'"),
    }


def resolve_with_gone(
    candidates: Candidates, *gone: str, **full_digests: str
) -> dict[str, Resolution]:
    groups = duplicates.group_by_digest(candidates)
    gone_keys = duplicates.find_gone_keys(groups, arrow.chunked_string_array([*gone, "unrelated"]))
    assert gone_keys == set(gone)
    return duplicates.resolve_exact_duplicates(groups, full_digests, gone_keys)


def test_a_file_that_is_gone_does_not_conflict_but_is_a_copy_of_the_one_that_exists() -> None:
    before = previous(part(("old", "cat", "x", 0)))
    candidates = make_candidates(part(("new", "dog", "x", 0)), before)
    assert resolve_with_gone(candidates, "old") == {"old": Resolution("duplicate", "new")}
    # With the same label the row stays, as nothing has to be written.
    candidates = make_candidates(part(("new", "cat", "x", 0)), before)
    assert resolve_with_gone(candidates, "old") == {"new": Resolution("duplicate", "old")}


def test_files_that_exist_still_conflict_beside_one_that_is_gone() -> None:
    before = previous(part(("old", "cat", "x", 0)))
    candidates = make_candidates(part(("a", "dog", "x", 0), ("b", "cat", "x", 0)), before)
    resolutions = resolve_with_gone(candidates, "old")
    assert {key: resolution.status for key, resolution in resolutions.items()} == {
        "old": "conflict",
        "a": "conflict",
        "b": "conflict",
    }


def test_a_large_file_that_is_gone_is_equal_to_those_that_exist_if_these_are_equal() -> None:
    before = previous(part(("old", "cat", "x", 0), size=LARGE))
    candidates = make_candidates(part(("new", "dog", "x", 0), size=LARGE), before)
    groups = duplicates.group_by_digest(candidates)
    assert duplicates.unverified_groups(groups, {"old"}) == []
    assert resolve_with_gone(candidates, "old") == {"old": Resolution("duplicate", "new")}
    two = part(("a", "dog", "x", 0), ("b", "cat", "x", 0), size=LARGE)
    candidates = make_candidates(two, before)
    assert duplicates.unverified_groups(duplicates.group_by_digest(candidates), {"old"}) == [
        ["a", "b"]
    ]
    assert resolve_with_gone(candidates, "old", a="1", b="2") == {}


def moved(*images: tuple[str, str, str, int], before: PreviousVersion) -> Candidates:
    return Candidates(before, [], [], [("/m", part(*images))])


def test_a_moved_row_is_compared_with_its_copies() -> None:
    copies = table(schema.DUPLICATES, ("copy", "row", SMALL, 1.5, "cat", digest("x")))
    before = PreviousVersion([], EMPTY_VERSION.rejects, copies)
    # Only the split has changed.
    candidates = moved(("row", "cat", "x", 0), before=before)
    assert resolve(candidates) == {"copy": Resolution("duplicate", "row")}
    # A copy that is gone keeps its label, and does not conflict.
    candidates = moved(("row", "dog", "x", 0), before=before)
    assert resolve_with_gone(candidates, "copy") == {"copy": Resolution("duplicate", "row")}
    candidates = candidates._replace(parts=[("/p", part(("new", "cat", "x", 0)))])
    assert set(resolve_with_gone(candidates, "copy")) == {"row", "new", "copy"}


def test_equal_old_rows_are_not_resolved_again() -> None:
    before = previous(part(("a", "cat", "x", 0), ("b", "cat", "x", 0)))
    assert resolve(make_candidates(part(("c", "cat", "y", 0)), before)) == {}


def test_a_rejected_image_is_no_duplicate() -> None:
    candidates = make_candidates(part(("a", "cat", "x", 0), ("b", "cat", "x", 0), status="empty"))
    assert resolve(candidates) == {}


def test_large_files_with_equal_digests_are_verified() -> None:
    candidates = make_candidates(
        part(("a", "cat", "x", 0), ("b", "cat", "x", 0), ("c", "cat", "x", 0), size=LARGE)
    )
    assert duplicates.unverified_groups(duplicates.group_by_digest(candidates)) == [["a", "b", "c"]]
    small = make_candidates(part(("a", "cat", "x", 0), ("b", "cat", "x", 0)))
    assert duplicates.unverified_groups(duplicates.group_by_digest(small)) == []
    assert resolve(candidates, a="1", b="2", c="1") == {"c": Resolution("duplicate", "a")}


def test_a_near_duplicate_is_the_image_of_the_later_split() -> None:
    before = previous(part(("test", "cat", "x", 0b111), ("far", "cat", "y", 2**40 - 1)))
    candidates = make_candidates(
        part(("train", "cat", "z", 0b011), ("other", "cat", "w", 0b010)), before
    )
    assert duplicates.find_near_duplicates(candidates, {}, max_distance=2).images == [
        NearDuplicate("test", "test", "cat", "train", "train", "cat", 1)
    ]
    assert duplicates.find_near_duplicates(candidates, {}, max_distance=0).images == []
    resolutions = {"train": Resolution("duplicate", "x")}
    nearest = duplicates.find_near_duplicates(candidates, resolutions, max_distance=2)
    assert nearest.images == [NearDuplicate("test", "test", "cat", "other", "train", "cat", 2)]


def test_a_negative_hash_is_compared_by_its_64_bits() -> None:
    before = previous(part(("test", "cat", "x", -1)))
    candidates = make_candidates(part(("train", "cat", "y", -2)), before)
    assert duplicates.find_near_duplicates(candidates, {}, max_distance=1).images == [
        NearDuplicate("test", "test", "cat", "train", "train", "cat", 1)
    ]


def test_previous_rows_have_the_columns_that_are_compared() -> None:
    assert {"key", "label", "source_digest", "perceptual_hash"} <= set(schema.ROWS.names)
    assert arrow.empty_table(schema.ROWS).num_rows == 0
