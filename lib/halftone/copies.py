"""Which images are copies of others: the same bytes, or nearly the same pixels in another split."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import NamedTuple, Union

import numpy as np
import pyarrow as pa

from halftone import ingest, near_duplicates, schema
from halftone.incremental import CONFLICT, DUPLICATE, Delta
from halftone.ingest import OK
from halftone.splits import SPLITS
from halftone.standing import Standing


class Evidence(NamedTuple):
    """All that is known of the images when the decoding is done."""

    standing: Standing  # the last version
    last_labels: list[str]  # its labels
    delta: Delta
    parts: list[tuple[str, pa.Table]]  # URL of a staged part and its columns but the pixels


class _Copy(NamedTuple):
    """An image that decoded well, and may have the same bytes as others."""

    age: int  # 0: a row that stands, 1: a duplicate that stands, 2: new
    key: str
    label: str
    source_bytes: int


class Fate(NamedTuple):
    """Of an image that is no row."""

    status: str  # DUPLICATE or a reason for rejection
    detail: str  # of a duplicate: the key that is kept


def look_alikes(evidence: Evidence) -> list[list[str]]:
    """Groups of keys whose digests are the same but leave bytes out: to be compared whole."""
    return [
        sorted(copy.key for copy in copies)
        for copies in _groups(evidence)
        if ingest.is_sampled(copies[0].source_bytes)
    ]


def _groups(evidence: Evidence) -> list[list[_Copy]]:
    """Images that share a digest, where a new one is among them."""
    by_digest: dict[bytes, list[_Copy]] = {}
    for digest, copy in _copies(evidence):
        by_digest.setdefault(digest, []).append(copy)
    return [
        copies
        for copies in by_digest.values()
        if len(copies) > 1 and any(copy.age == 2 for copy in copies)
    ]


def _copies(evidence: Evidence) -> Iterator[tuple[bytes, _Copy]]:
    forget = evidence.delta.forget
    for *_, table in evidence.standing.shards:
        names = ("source_digest", schema.KEY, schema.LABEL, "source_bytes")
        for digest, key, label, size in zip(*(table[name].to_pylist() for name in names)):
            if key not in forget:
                yield digest, _Copy(0, key, label, size)
    for row in evidence.standing.duplicates.to_pylist():
        if row[schema.PATH] not in forget:
            copy = _Copy(1, row[schema.PATH], row[schema.LABEL], row[schema.SIZE_BYTES])
            yield row[schema.DIGEST], copy
    for _, table in evidence.parts:
        of_part = ("source_digest", "key", "label", "source_bytes", "status")
        for digest, key, label, size, status in zip(*(table[name].to_pylist() for name in of_part)):
            if status == OK:
                yield digest, _Copy(2, key, label, size)


def exact_fates(evidence: Evidence, full_digests: Mapping[str, str]) -> dict[str, Fate]:
    """Say which keys are no rows, now that every image is known to all others by its bytes."""
    fates: dict[str, Fate] = {}
    for copies in _groups(evidence):
        same: dict[Union[str, None], list[_Copy]] = {}
        for copy in copies:
            same.setdefault(full_digests.get(copy.key), []).append(copy)
        for group in same.values():
            if len(group) > 1 and any(copy.age == 2 for copy in group):
                fates.update(_fates_of_copies(sorted(group)))
    return fates


def _fates_of_copies(copies: Sequence[_Copy]) -> dict[str, Fate]:
    first = copies[0]
    if all(copy.label == first.label for copy in copies):
        return {copy.key: Fate(DUPLICATE, first.key) for copy in copies[1:]}
    fates = {}
    for copy in copies:
        other = next(other for other in copies if other.label != copy.label)
        detail = (
            f"label {copy.label!r}, but {other.key} has the same bytes and label {other.label!r}"
        )
        fates[copy.key] = Fate(CONFLICT, detail)
    return fates


class Near(NamedTuple):
    """An image of a later split, and the nearest one of an earlier split."""

    key: str
    split: str
    near_key: str
    near_split: str
    distance: int  # bits of 64 that differ


def near_copies(evidence: Evidence, fates: Mapping[str, Fate], distance: int) -> list[Near]:
    """Find rows that look nearly the same as a row of an earlier split (train, validation, test).

    A perceptual hash finds copies that were scaled, compressed or brightened, and not mirrored,
    turned or cropped ones; not having found any does not mean that there are none.
    """
    rows = [row for row in _rows(evidence) if row[0] not in fates]
    keys, sides, hashes = zip(*rows) if rows else ((), (), ())
    unsigned = np.array(hashes, np.int64).view(np.uint64)
    found = near_duplicates.find(unsigned, np.array(sides, np.int8), distance)
    return [
        Near(keys[row], SPLITS[sides[row]], keys[other], SPLITS[sides[other]], bits)
        for row, other, bits in zip(*(column.tolist() for column in found))
    ]


def _rows(evidence: Evidence) -> Iterator[tuple[str, int, int]]:
    """Key, number of the split, and hash of all that may be a row."""
    for _, shard, table in evidence.standing.shards:
        side = SPLITS.index(shard.split)
        for key, bits in zip(table[schema.KEY].to_pylist(), table["perceptual_hash"].to_pylist()):
            if key not in evidence.delta.forget:
                yield key, side, bits
    for _, table in evidence.parts:
        names = ("key", "split", "perceptual_hash", "status")
        for key, side, bits, status in zip(*(table[name].to_pylist() for name in names)):
            if status == OK:
                yield key, side, bits
