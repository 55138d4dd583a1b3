"""Which images are copies of others: the same bytes, or nearly the same pixels in another split."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import NamedTuple, Union

import numpy as np
import pyarrow as pa

from halftone import arrow
from halftone.dataset import schema
from halftone.dataset.splits import SPLITS
from halftone.preprocess import near_duplicates
from halftone.preprocess.changes import CONFLICT, DUPLICATE
from halftone.preprocess.decode_block import decoded, is_sampled
from halftone.preprocess.previous_version import Standing


class Evidence(NamedTuple):
    """All that is known of the images when the decoding is done."""

    standing: Standing  # what stays of the last version
    last_labels: list[str]  # its labels
    parts: list[tuple[str, pa.Table]]  # URL of a staged part and its columns but the pixels


class Copy(NamedTuple):
    """An image that decoded well, and has the digest of another one."""

    age: int  # _ROW, _DUPLICATE or _NEW
    key: str
    label: str
    source_bytes: int


_ROW, _DUPLICATE, _NEW = range(3)  # a row that stands, a duplicate that stands, neither
_DECODED = pa.schema(
    [
        pa.field("digest", pa.binary(16)),
        pa.field("key", pa.string()),
        pa.field("label", pa.string()),
        pa.field("source_bytes", pa.int64()),
        pa.field("age", pa.int8()),
    ]
)


class Fate(NamedTuple):
    """Of an image that is no row."""

    status: str  # DUPLICATE or a reason for rejection
    detail: str  # of a duplicate: the key that is kept


def same_digests(evidence: Evidence) -> list[list[Copy]]:
    """Groups of images that share a digest, where a new one is among them."""
    table = _decoded(evidence)
    digests = arrow.codes(table["digest"])
    counts = np.bincount(digests)
    has_new = np.zeros(len(counts), bool)
    has_new[digests[arrow.numbers(table["age"]) == _NEW]] = True
    shared = np.flatnonzero(((counts > 1) & has_new)[digests])
    groups: dict[int, list[Copy]] = {}
    rows = arrow.rows(arrow.take(table, shared), *Copy._fields)
    for digest, row in zip(digests[shared].tolist(), rows):
        groups.setdefault(digest, []).append(Copy(*row))
    return list(groups.values())


def _decoded(evidence: Evidence) -> pa.Table:
    """All that may have the same bytes as others, as _DECODED."""
    standing = evidence.standing
    of_row = ("source_digest", schema.KEY, schema.LABEL, "source_bytes")
    of_duplicate = (schema.DIGEST, schema.PATH, schema.LABEL, schema.SIZE_BYTES)
    sources = [
        *((_ROW, table, of_row) for *_, table in standing.shards),
        (_DUPLICATE, standing.duplicates, of_duplicate),
        *((_NEW, decoded(table), of_row) for _, table in evidence.parts),
    ]
    return pa.concat_tables(
        pa.table(
            [
                *(table[name] for name in names),
                arrow.repeat(arrow.of_numbers([age], pa.int8()), table.num_rows),
            ],
            schema=_DECODED,
        )
        for age, table, names in sources
    )


def look_alikes(groups: Iterable[Sequence[Copy]]) -> list[list[str]]:
    """Groups of keys whose digests are the same but leave bytes out: to be compared whole."""
    return [
        sorted(copy.key for copy in copies)
        for copies in groups
        if is_sampled(copies[0].source_bytes)
    ]


def exact_fates(
    groups: Iterable[Sequence[Copy]], full_digests: Mapping[str, str]
) -> dict[str, Fate]:
    """Say which keys are no rows, now that every image is known to all others by its bytes.

    Args:
        groups: the `same_digests`.
        full_digests: of the `look_alikes`, by key.
    """
    fates: dict[str, Fate] = {}
    for copies in groups:
        same: dict[Union[str, None], list[Copy]] = {}
        for copy in copies:
            same.setdefault(full_digests.get(copy.key), []).append(copy)
        for group in same.values():
            if len(group) > 1 and any(copy.age == _NEW for copy in group):
                fates.update(_fates_of_copies(sorted(group)))
    return fates


def _fates_of_copies(copies: Sequence[Copy]) -> dict[str, Fate]:
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
    rows = _rows(evidence)
    rows = arrow.where(rows, ~arrow.is_in(rows["key"], arrow.of_texts(fates)))
    hashes = arrow.numbers(rows["perceptual_hash"]).view(np.uint64)
    found = near_duplicates.find(hashes, arrow.numbers(rows["split"]), distance)
    own, other = (
        arrow.rows(arrow.take(rows, numbers), "key", "split")
        for numbers in (found.row, found.other)
    )
    return [
        Near(key, SPLITS[side], near_key, SPLITS[near_side], bits)
        for (key, side), (near_key, near_side), bits in zip(own, other, found.distance.tolist())
    ]


_HASHES = pa.schema(
    [
        pa.field("key", pa.string()),
        pa.field("split", pa.int8()),
        pa.field("perceptual_hash", pa.int64()),
    ]
)


def _rows(evidence: Evidence) -> pa.Table:
    """All that may be a row, as _HASHES."""
    standing = [
        (
            table[schema.KEY],
            arrow.repeat(arrow.of_numbers([SPLITS.index(shard.split)], pa.int8()), table.num_rows),
            table["perceptual_hash"],
        )
        for _, shard, table in evidence.standing.shards
    ]
    new = [
        [table[name] for name in _HASHES.names]
        for table in (decoded(part) for _, part in evidence.parts)
    ]
    tables = [pa.table(values, schema=_HASHES) for values in [*standing, *new]]
    return pa.concat_tables([arrow.nothing(_HASHES), *tables])
