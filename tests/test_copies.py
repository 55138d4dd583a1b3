"""Copies among images that stand and images that are new, without files and without Spark."""

from __future__ import annotations

import pyarrow as pa

from halftone import columns, copies, schema
from halftone.copies import Evidence, Fate, Near
from halftone.incremental import Delta
from halftone.manifest import ShardFile
from halftone.standing import EMPTY, Standing

SMALL, LARGE = 100, 100_000  # bytes; of a large file the digest leaves some out


def part(*images: tuple[str, str, str, int], size: int = SMALL, status: str = "ok") -> pa.Table:
    """A staged part; an image is its key, label, digest and hash, and of split 0."""
    keys, labels, digests, hashes = zip(*images)
    return pa.table(
        {
            "key": keys,
            "label": labels,
            "split": pa.array([0] * len(keys), pa.int8()),
            "status": [status] * len(keys),
            "source_bytes": [size] * len(keys),
            "source_digest": [digest.encode().ljust(16) for digest in digests],
            "perceptual_hash": hashes,
        }
    )


def standing(table: pa.Table, split: str = "test") -> Standing:
    shard = ShardFile(path="s", split=split, rows=table.num_rows, size_bytes=1, digest="")
    return Standing([("/s", shard, table)], EMPTY.rejects, EMPTY.duplicates)


def evidence(new: pa.Table, before: Standing = EMPTY, forget: str = "") -> Evidence:
    delta = Delta(frozenset(), frozenset(forget.split()), frozenset())
    return Evidence(before, [], delta, [("/p", new)])


def test_copies_of_one_label_are_duplicates_of_the_first_by_path() -> None:
    found = evidence(part(("b", "cat", "x", 0), ("a", "cat", "x", 0), ("c", "cat", "y", 0)))
    assert copies.exact_fates(found, {}) == {"b": Fate("duplicate", "a")}


def test_what_stands_goes_before_what_is_new() -> None:
    before = standing(part(("z", "cat", "x", 0)))
    found = evidence(part(("a", "cat", "x", 0)), before)
    assert copies.exact_fates(found, {}) == {"a": Fate("duplicate", "z")}
    forgotten = evidence(part(("a", "cat", "x", 0)), before, forget="z")
    assert copies.exact_fates(forgotten, {}) == {}


def test_two_labels_are_a_conflict_on_both_sides() -> None:
    before = standing(part(("old", "cat", "x", 0)))
    found = evidence(part(("new", "dog", "x", 0)), before)
    assert copies.exact_fates(found, {}) == {
        "old": Fate("conflict", "label 'cat', but new has the same bytes and label 'dog'"),
        "new": Fate("conflict", "label 'dog', but old has the same bytes and label 'cat'"),
    }


def test_copies_that_both_stand_were_judged_when_they_came() -> None:
    before = standing(part(("a", "cat", "x", 0), ("b", "cat", "x", 0)))
    assert copies.exact_fates(evidence(part(("c", "cat", "y", 0)), before), {}) == {}


def test_what_was_rejected_is_no_copy() -> None:
    found = evidence(part(("a", "cat", "x", 0), ("b", "cat", "x", 0), status="empty"))
    assert copies.exact_fates(found, {}) == {}


def test_large_look_alikes_are_compared_whole() -> None:
    found = evidence(
        part(("a", "cat", "x", 0), ("b", "cat", "x", 0), ("c", "cat", "x", 0), size=LARGE)
    )
    assert copies.look_alikes(found) == [["a", "b", "c"]]
    assert copies.look_alikes(evidence(part(("a", "cat", "x", 0), ("b", "cat", "x", 0)))) == []
    full = {"a": "1", "b": "2", "c": "1"}
    assert copies.exact_fates(found, full) == {"c": Fate("duplicate", "a")}


def test_near_copies_are_those_of_a_later_split() -> None:
    before = standing(part(("test", "cat", "x", 0b111), ("far", "cat", "y", 2**40 - 1)))
    found = evidence(part(("train", "cat", "z", 0b011), ("other", "cat", "w", 0b010)), before)
    assert copies.near_copies(found, {}, distance=2) == [Near("test", "test", "train", "train", 1)]
    assert copies.near_copies(found, {}, distance=0) == []
    no_row = {"train": Fate("duplicate", "x")}
    nearest = copies.near_copies(found, no_row, distance=2)
    assert nearest == [Near("test", "test", "other", "train", 2)]


def test_a_negative_hash_is_its_64_bits() -> None:
    before = standing(part(("test", "cat", "x", -1)))
    found = evidence(part(("train", "cat", "y", -2)), before)
    assert copies.near_copies(found, {}, distance=1) == [Near("test", "test", "train", "train", 1)]


def test_columns_have_the_names_that_shards_have() -> None:
    assert {"key", "label", "source_digest", "perceptual_hash"} <= set(schema.ROWS.names)
    assert columns.nothing(schema.ROWS).num_rows == 0
