"""Duplicates among images of the previous version and new images; no files, no Spark."""

from __future__ import annotations

import pyarrow as pa

from halftone import arrow
from halftone.dataset import schema
from halftone.dataset.manifest import ShardFile
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
