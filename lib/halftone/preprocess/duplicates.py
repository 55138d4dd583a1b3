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
from halftone.preprocess.decode_block import has_partial_digest, select_decoded
from halftone.preprocess.previous_version import PreviousVersion


class Candidates(NamedTuple):
    """All that is known of the images when the decoding is done."""

    previous_version: PreviousVersion  # what stays of the last version
    previous_labels: list[str]  # its labels
    parts: list[tuple[str, pa.Table]]  # URL of a staged part and its columns but the pixels


class DigestMatch(NamedTuple):
    """An image that decoded well, and has the digest of another one."""

    age: int  # _ROW, _DUPLICATE or _NEW
    key: str
    label: str
    source_bytes: int


_ROW, _DUPLICATE, _NEW = range(3)  # a row that stands, a duplicate that stands, neither
_DIGESTS = pa.schema(
    [
        pa.field("digest", pa.binary(16)),
        pa.field("key", pa.string()),
        pa.field("label", pa.string()),
        pa.field("source_bytes", pa.int64()),
        pa.field("age", pa.int8()),
    ]
)


class Resolution(NamedTuple):
    """Of an image that is no row."""

    status: str  # DUPLICATE or a reason for rejection
    detail: str  # of a duplicate: the key that is kept


def group_by_digest(candidates: Candidates) -> list[list[DigestMatch]]:
    """Groups of images that share a digest, where a new one is among them."""
    table = _collect_digests(candidates)
    digests = arrow.dictionary_codes(table["digest"])
    counts = np.bincount(digests)
    has_new = np.zeros(len(counts), bool)
    has_new[digests[arrow.to_numpy(table["age"]) == _NEW]] = True
    shared = np.flatnonzero(((counts > 1) & has_new)[digests])
    groups: dict[int, list[DigestMatch]] = {}
    rows = arrow.iter_rows(arrow.take_rows(table, shared), *DigestMatch._fields)
    for digest, row in zip(digests[shared].tolist(), rows):
        groups.setdefault(digest, []).append(DigestMatch(*row))
    return list(groups.values())


def _collect_digests(evidence: Candidates) -> pa.Table:
    """All that may have the same bytes as others, as _DECODED."""
    standing = evidence.previous_version
    of_row = ("source_digest", schema.KEY, schema.LABEL, "source_bytes")
    of_duplicate = (schema.DIGEST, schema.PATH, schema.LABEL, schema.SIZE_BYTES)
    sources = [
        *((_ROW, table, of_row) for *_, table in standing.shards),
        (_DUPLICATE, standing.duplicates, of_duplicate),
        *((_NEW, select_decoded(table), of_row) for _, table in evidence.parts),
    ]
    return pa.concat_tables(
        pa.table(
            [
                *(table[name] for name in names),
                arrow.repeat_value(arrow.number_array([age], pa.int8()), table.num_rows),
            ],
            schema=_DIGESTS,
        )
        for age, table, names in sources
    )


def unverified_groups(groups: Iterable[Sequence[DigestMatch]]) -> list[list[str]]:
    """Groups of keys whose digests are the same but leave bytes out: to be compared whole."""
    return [
        sorted(copy.key for copy in copies)
        for copies in groups
        if has_partial_digest(copies[0].source_bytes)
    ]


def resolve_exact_duplicates(
    groups: Iterable[Sequence[DigestMatch]], full_digests: Mapping[str, str]
) -> dict[str, Resolution]:
    """Say which keys are no rows, now that every image is known to all others by its bytes.

    Args:
        groups: the `same_digests`.
        full_digests: of the `look_alikes`, by key.
    """
    fates: dict[str, Resolution] = {}
    for copies in groups:
        same: dict[Union[str, None], list[DigestMatch]] = {}
        for copy in copies:
            same.setdefault(full_digests.get(copy.key), []).append(copy)
        for group in same.values():
            if len(group) > 1 and any(copy.age == _NEW for copy in group):
                fates.update(_resolve_group(sorted(group)))
    return fates


def _resolve_group(copies: Sequence[DigestMatch]) -> dict[str, Resolution]:
    first = copies[0]
    if all(copy.label == first.label for copy in copies):
        return {copy.key: Resolution(DUPLICATE, first.key) for copy in copies[1:]}
    fates = {}
    for copy in copies:
        other = next(other for other in copies if other.label != copy.label)
        detail = (
            f"label {copy.label!r}, but {other.key} has the same bytes and label {other.label!r}"
        )
        fates[copy.key] = Resolution(CONFLICT, detail)
    return fates


class NearDuplicate(NamedTuple):
    """An image of a later split, and the nearest one of an earlier split."""

    key: str
    split: str
    near_key: str
    near_split: str
    distance: int  # bits of 64 that differ


def find_near_duplicates(
    candidates: Candidates, resolutions: Mapping[str, Resolution], max_distance: int
) -> list[NearDuplicate]:
    """Find rows that look nearly the same as a row of an earlier split (train, validation, test).

    A perceptual hash finds copies that were scaled, compressed or brightened, and not mirrored,
    turned or cropped ones; not having found any does not mean that there are none.
    """
    rows = _collect_hashes(candidates)
    rows = arrow.filter_rows(
        rows, ~arrow.is_in(rows["key"], arrow.chunked_string_array(resolutions))
    )
    hashes = arrow.to_numpy(rows["perceptual_hash"]).view(np.uint64)
    found = near_duplicates.match_hashes(hashes, arrow.to_numpy(rows["split"]), max_distance)
    own, other = (
        arrow.iter_rows(arrow.take_rows(rows, numbers), "key", "split")
        for numbers in (found.row, found.other_row)
    )
    return [
        NearDuplicate(key, SPLITS[side], near_key, SPLITS[near_side], bits)
        for (key, side), (near_key, near_side), bits in zip(own, other, found.distance.tolist())
    ]


_HASHES = pa.schema(
    [
        pa.field("key", pa.string()),
        pa.field("split", pa.int8()),
        pa.field("perceptual_hash", pa.int64()),
    ]
)


def _collect_hashes(evidence: Candidates) -> pa.Table:
    """All that may be a row, as _HASHES."""
    standing = [
        (
            table[schema.KEY],
            arrow.repeat_value(
                arrow.number_array([SPLITS.index(shard.split)], pa.int8()), table.num_rows
            ),
            table["perceptual_hash"],
        )
        for _, shard, table in evidence.previous_version.shards
    ]
    new = [
        [table[name] for name in _HASHES.names]
        for table in (select_decoded(part) for _, part in evidence.parts)
    ]
    tables = [pa.table(values, schema=_HASHES) for values in [*standing, *new]]
    return pa.concat_tables([arrow.empty_table(_HASHES), *tables])
