"""Copies among images that stand and images that are new, without files and without Spark."""

from __future__ import annotations

import pyarrow as pa

from halftone import arrow
from halftone.dataset import schema
from halftone.dataset.manifest import ShardFile
from halftone.preprocess import decode_block, duplicates
from halftone.preprocess.duplicates import Evidence, Fate, Near
from halftone.preprocess.previous_version import EMPTY, Standing
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


def standing(rows: pa.Table, split: str = "test") -> Standing:
    shard = ShardFile(path="s", split=split, rows=rows.num_rows, size_bytes=1, digest="")
    return Standing([("/s", shard, rows)], EMPTY.rejects, EMPTY.duplicates)


def evidence(new: pa.Table, before: Standing = EMPTY) -> Evidence:
    return Evidence(before, [], [("/p", new)])


def fates(found: Evidence, **full_digests: str) -> dict[str, Fate]:
    return duplicates.exact_fates(duplicates.same_digests(found), full_digests)


def test_copies_of_one_label_are_duplicates_of_the_first_by_path() -> None:
    found = evidence(part(("b", "cat", "x", 0), ("a", "cat", "x", 0), ("c", "cat", "y", 0)))
    assert fates(found) == {"b": Fate("duplicate", "a")}


def test_what_stands_goes_before_what_is_new() -> None:
    before = standing(part(("z", "cat", "x", 0)))
    found = evidence(part(("a", "cat", "x", 0)), before)
    assert fates(found) == {"a": Fate("duplicate", "z")}


def test_a_duplicate_that_stands_goes_before_what_is_new() -> None:
    known = table(schema.DUPLICATES, ("z", "gone", SMALL, 1.5, "cat", digest("x")))
    before = Standing([], EMPTY.rejects, known)
    found = evidence(part(("a", "cat", "x", 0)), before)
    assert fates(found) == {"a": Fate("duplicate", "z")}


def test_groups_are_of_what_shares_a_digest_with_what_is_new() -> None:
    before = standing(part(("s", "cat", "x", 0), ("t", "cat", "y", 0), ("u", "cat", "y", 0)))
    found = evidence(part(("b", "dog", "x", 0), ("a", "cat", "x", 0), ("c", "cat", "z", 0)), before)
    groups = duplicates.same_digests(found)
    assert groups == [[(0, "s", "cat", 100), (2, "b", "dog", 100), (2, "a", "cat", 100)]]


def test_two_labels_are_a_conflict_on_both_sides() -> None:
    before = standing(part(("old", "cat", "x", 0)))
    found = evidence(part(("new", "dog", "x", 0)), before)
    assert fates(found) == {
        "old": Fate("conflict", "label 'cat', but new has the same bytes and label 'dog'"),
        "new": Fate("conflict", "label 'dog', but old has the same bytes and label 'cat'"),
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
    assert duplicates.look_alikes(duplicates.same_digests(found)) == [["a", "b", "c"]]
    small = evidence(part(("a", "cat", "x", 0), ("b", "cat", "x", 0)))
    assert duplicates.look_alikes(duplicates.same_digests(small)) == []
    assert fates(found, a="1", b="2", c="1") == {"c": Fate("duplicate", "a")}


def test_near_copies_are_those_of_a_later_split() -> None:
    before = standing(part(("test", "cat", "x", 0b111), ("far", "cat", "y", 2**40 - 1)))
    found = evidence(part(("train", "cat", "z", 0b011), ("other", "cat", "w", 0b010)), before)
    assert duplicates.near_copies(found, {}, distance=2) == [
        Near("test", "test", "train", "train", 1)
    ]
    assert duplicates.near_copies(found, {}, distance=0) == []
    no_row = {"train": Fate("duplicate", "x")}
    nearest = duplicates.near_copies(found, no_row, distance=2)
    assert nearest == [Near("test", "test", "other", "train", 2)]


def test_a_negative_hash_is_its_64_bits() -> None:
    before = standing(part(("test", "cat", "x", -1)))
    found = evidence(part(("train", "cat", "y", -2)), before)
    assert duplicates.near_copies(found, {}, distance=1) == [
        Near("test", "test", "train", "train", 1)
    ]


def test_columns_have_the_names_that_shards_have() -> None:
    assert {"key", "label", "source_digest", "perceptual_hash"} <= set(schema.ROWS.names)
    assert arrow.nothing(schema.ROWS).num_rows == 0
