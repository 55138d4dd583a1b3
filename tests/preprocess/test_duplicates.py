"""Copies among images that stand and images that are new, without files and without Spark."""

from __future__ import annotations

import pyarrow as pa

from halftone import arrow
from halftone.dataset import schema
from halftone.dataset.manifest import ShardFile
from halftone.preprocess import decode_block, duplicates
from halftone.preprocess.duplicates import Candidates, NearDuplicate, Resolution
from halftone.preprocess.previous_version import EMPTY_VERSION, PreviousVersion
from tables import digest, table

SMALL, LARGE = 100, 100_000  # bytes; of a large file the digest leaves some out


PART = pa.schema([field for field in decode_block.PART if field.name != "image"])


def part(*images: tuple[str, str, str, int], size: int = SMALL, status: str = "ok") -> pa.Table:
    """A staged part; an image is its key, label, digest and hash, and of split 0."""
    return table(
        PART,
        *(
            (key, label, 0, status, "", 1, 1, size, 1.5, digest(name), bits)
            for key, label, name, bits in images
        ),
    )


def standing(rows: pa.Table, split: str = "test") -> PreviousVersion:
    shard = ShardFile(path="s", split=split, rows=rows.num_rows, size_bytes=1, digest="")
    return PreviousVersion([("/s", shard, rows)], EMPTY_VERSION.rejects, EMPTY_VERSION.duplicates)


def evidence(new: pa.Table, before: PreviousVersion = EMPTY_VERSION) -> Candidates:
    return Candidates(before, [], [("/p", new)])


def fates(found: Candidates, **full_digests: str) -> dict[str, Resolution]:
    return duplicates.resolve_exact_duplicates(duplicates.group_by_digest(found), full_digests)


def test_copies_of_one_label_are_duplicates_of_the_first_by_path() -> None:
    found = evidence(part(("b", "cat", "x", 0), ("a", "cat", "x", 0), ("c", "cat", "y", 0)))
    assert fates(found) == {"b": Resolution("duplicate", "a")}


def test_what_stands_goes_before_what_is_new() -> None:
    before = standing(part(("z", "cat", "x", 0)))
    found = evidence(part(("a", "cat", "x", 0)), before)
    assert fates(found) == {"a": Resolution("duplicate", "z")}


def test_a_duplicate_that_stands_goes_before_what_is_new() -> None:
    known = table(schema.DUPLICATES, ("z", "gone", SMALL, 1.5, "cat", digest("x")))
    before = PreviousVersion([], EMPTY_VERSION.rejects, known)
    found = evidence(part(("a", "cat", "x", 0)), before)
    assert fates(found) == {"a": Resolution("duplicate", "z")}


def test_groups_are_of_what_shares_a_digest_with_what_is_new() -> None:
    before = standing(part(("s", "cat", "x", 0), ("t", "cat", "y", 0), ("u", "cat", "y", 0)))
    found = evidence(part(("b", "dog", "x", 0), ("a", "cat", "x", 0), ("c", "cat", "z", 0)), before)
    groups = duplicates.group_by_digest(found)
    assert groups == [[(0, "s", "cat", 100), (2, "b", "dog", 100), (2, "a", "cat", 100)]]


def test_two_labels_are_a_conflict_on_both_sides() -> None:
    before = standing(part(("old", "cat", "x", 0)))
    found = evidence(part(("new", "dog", "x", 0)), before)
    assert fates(found) == {
        "old": Resolution("conflict", "label 'cat', but new has the same bytes and label 'dog'"),
        "new": Resolution("conflict", "label 'dog', but old has the same bytes and label 'cat'"),
    }


def test_copies_that_both_stand_were_judged_when_they_came() -> None:
    before = standing(part(("a", "cat", "x", 0), ("b", "cat", "x", 0)))
    assert fates(evidence(part(("c", "cat", "y", 0)), before)) == {}


def test_what_was_rejected_is_no_copy() -> None:
    found = evidence(part(("a", "cat", "x", 0), ("b", "cat", "x", 0), status="empty"))
    assert fates(found) == {}


def test_large_look_alikes_are_compared_whole() -> None:
    found = evidence(
        part(("a", "cat", "x", 0), ("b", "cat", "x", 0), ("c", "cat", "x", 0), size=LARGE)
    )
    assert duplicates.unverified_groups(duplicates.group_by_digest(found)) == [["a", "b", "c"]]
    small = evidence(part(("a", "cat", "x", 0), ("b", "cat", "x", 0)))
    assert duplicates.unverified_groups(duplicates.group_by_digest(small)) == []
    assert fates(found, a="1", b="2", c="1") == {"c": Resolution("duplicate", "a")}


def test_near_copies_are_those_of_a_later_split() -> None:
    before = standing(part(("test", "cat", "x", 0b111), ("far", "cat", "y", 2**40 - 1)))
    found = evidence(part(("train", "cat", "z", 0b011), ("other", "cat", "w", 0b010)), before)
    assert duplicates.find_near_duplicates(found, {}, max_distance=2) == [
        NearDuplicate("test", "test", "train", "train", 1)
    ]
    assert duplicates.find_near_duplicates(found, {}, max_distance=0) == []
    no_row = {"train": Resolution("duplicate", "x")}
    nearest = duplicates.find_near_duplicates(found, no_row, max_distance=2)
    assert nearest == [NearDuplicate("test", "test", "other", "train", 2)]


def test_a_negative_hash_is_its_64_bits() -> None:
    before = standing(part(("test", "cat", "x", -1)))
    found = evidence(part(("train", "cat", "y", -2)), before)
    assert duplicates.find_near_duplicates(found, {}, max_distance=1) == [
        NearDuplicate("test", "test", "train", "train", 1)
    ]


def test_columns_have_the_names_that_shards_have() -> None:
    assert {"key", "label", "source_digest", "perceptual_hash"} <= set(schema.ROWS.names)
    assert arrow.empty_table(schema.ROWS).num_rows == 0
