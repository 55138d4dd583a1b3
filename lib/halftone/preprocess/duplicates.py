"""Find images with the same bytes, and images of different splits with nearly the same pixels."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from typing import NamedTuple, Optional

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
    """All images that may become rows of the new version."""

    previous_version: PreviousVersion  # the images that are retained
    previous_labels: list[str]
    parts: list[tuple[str, pa.Table]]  # URL of each staged part, and its columns but the pixels
    # The same, of rows of the previous version that get another label or split.
    moved_parts: Sequence[tuple[str, pa.Table]] = ()

    @property
    def all_parts(self) -> list[tuple[str, pa.Table]]:
        return [*self.moved_parts, *self.parts]


class DigestMatch(NamedTuple):
    """A decoded image that shares its digest with another image."""

    age: int  # _MOVED_ROW, _ROW, _DUPLICATE or _NEW
    key: str
    label: str
    source_bytes: int


# A row of the previous version (with another label or split, or unchanged), a duplicate of the
# previous version, and a new image. Of several images with the same bytes, the first in this order
# is kept.
_MOVED_ROW, _ROW, _DUPLICATE, _NEW = range(-1, 3)
_CHANGED = (_MOVED_ROW, _NEW)
_AGE = "age"
_DIGESTS = pa.schema(
    [
        pa.field(schema.DIGEST, pa.binary()),
        pa.field(schema.KEY, pa.string()),
        pa.field(schema.LABEL, pa.string()),
        pa.field(schema.SOURCE_BYTES, pa.int64()),
        pa.field(_AGE, pa.int8()),
    ]
)


class Resolution(NamedTuple):
    """Why a decoded image does not become a row."""

    status: str  # DUPLICATE or the reason of the rejection
    detail: str  # of a duplicate: the key of the image that is kept


def group_by_digest(candidates: Candidates) -> list[list[DigestMatch]]:
    """Return the groups of images that share a digest and contain a new image or a moved row."""
    table = _collect_digests(candidates)
    codes = arrow.dictionary_codes(table[schema.DIGEST])
    counts = np.bincount(codes)
    has_new = np.zeros(len(counts), bool)
    has_new[codes[np.isin(arrow.to_numpy(table[_AGE]), _CHANGED)]] = True
    shared = np.flatnonzero(((counts > 1) & has_new)[codes])
    groups: dict[int, list[DigestMatch]] = {}
    rows = arrow.iter_rows(arrow.take_rows(table, shared), *DigestMatch._fields)
    for code, row in zip(codes[shared].tolist(), rows):
        groups.setdefault(code, []).append(DigestMatch(*row))
    return list(groups.values())


def _collect_digests(candidates: Candidates) -> pa.Table:
    """Return all decoded images as _DIGESTS."""
    previous_version = candidates.previous_version
    row_names = (schema.SOURCE_DIGEST, schema.KEY, schema.LABEL, schema.SOURCE_BYTES)
    duplicate_names = (schema.DIGEST, schema.PATH, schema.LABEL, schema.SIZE_BYTES)
    sources = [
        *((_ROW, table, row_names) for *_, table in previous_version.shards),
        (_DUPLICATE, previous_version.duplicates, duplicate_names),
        *((_MOVED_ROW, part, row_names) for _, part in candidates.moved_parts),
        *((_NEW, select_decoded(part), row_names) for _, part in candidates.parts),
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


def find_gone_keys(
    groups: Iterable[Sequence[DigestMatch]], missing: pa.ChunkedArray
) -> frozenset[str]:
    """Return the keys of the groups' images that no longer exist.

    Args:
        missing: the keys of all images of the previous version that no longer exist.
    """
    keys = [match.key for group in groups for match in group]
    is_gone = arrow.is_in(arrow.chunked_string_array(keys), missing)
    return frozenset(keys[row] for row in np.flatnonzero(is_gone))


def unverified_groups(
    groups: Iterable[Sequence[DigestMatch]], gone_keys: Collection[str] = ()
) -> list[list[str]]:
    """Return the keys of the groups whose digests do not cover all bytes of the files.

    Files that no longer exist cannot be read, and are left out.
    """
    unverified = []
    for group in groups:
        keys = sorted(match.key for match in group if match.key not in gone_keys)
        if has_partial_digest(group[0].source_bytes) and len(keys) > 1:
            unverified.append(keys)
    return unverified


def resolve_exact_duplicates(
    groups: Iterable[Sequence[DigestMatch]],
    full_digests: Mapping[str, str],
    gone_keys: Collection[str] = (),
) -> dict[str, Resolution]:
    """Return the resolution of each image that does not become a row, by key.

    Args:
        groups: from `group_by_digest`.
        full_digests: of the images of `unverified_groups`, by key.
        gone_keys: from `find_gone_keys`.
    """
    resolutions: dict[str, Resolution] = {}
    for group in groups:
        for matches in _split_by_full_digest(group, full_digests, gone_keys):
            if len(matches) > 1 and any(match.age in _CHANGED for match in matches):
                resolutions.update(_resolve_group(sorted(matches), gone_keys))
    return resolutions


def _split_by_full_digest(
    group: Sequence[DigestMatch], full_digests: Mapping[str, str], gone_keys: Collection[str]
) -> list[list[DigestMatch]]:
    """Return the images of a group that are equal in all bytes.

    A file that no longer exists counts as equal to the others if these are all equal: most likely
    it was moved or renamed. Otherwise it is equal to none.
    """
    by_full_digest: dict[Optional[str], list[DigestMatch]] = {}
    for match in group:
        if match.key not in gone_keys:
            by_full_digest.setdefault(full_digests.get(match.key), []).append(match)
    gone = [match for match in group if match.key in gone_keys]
    if len(by_full_digest) == 1:
        return [[*gone, *matches] for matches in by_full_digest.values()]
    return list(by_full_digest.values())


def _resolve_group(
    matches: Sequence[DigestMatch], gone_keys: Collection[str]
) -> dict[str, Resolution]:
    """Resolve images with the same bytes, sorted by age and key."""
    first = matches[0]
    if any(match.label != first.label for match in matches):
        # A file that no longer exists conflicts with none: the others decide which label is right.
        existing = [match for match in matches if match.key not in gone_keys] or matches
        first = existing[0]
        if any(match.label != first.label for match in existing):
            return dict(_conflicts(matches))
    return {
        match.key: Resolution(DUPLICATE, first.key) for match in matches if match.key != first.key
    }


def _conflicts(matches: Sequence[DigestMatch]) -> Iterator[tuple[str, Resolution]]:
    for match in matches:
        other = next(other for other in matches if other.label != match.label)
        detail = (
            f"label {match.label!r}, but {other.key} has the same bytes and label {other.label!r}"
        )
        yield match.key, Resolution(CONFLICT, detail)


class NearDuplicate(NamedTuple):
    """An image of a later split, and the nearest image of an earlier split."""

    key: str
    split: str
    label: str
    near_key: str
    near_split: str
    near_label: str
    distance: int  # bits of 64 that differ


class NearDuplicates(NamedTuple):
    """All near duplicates, and how often the hashes of unlike images are near by chance."""

    images: list[NearDuplicate]
    chance_fraction: float  # see near_duplicates.measure_chance

    def with_same_label(self) -> list[NearDuplicate]:
        return [image for image in self.images if image.label == image.near_label]


def find_near_duplicates(
    candidates: Candidates, resolutions: Mapping[str, Resolution], max_distance: int
) -> NearDuplicates:
    """Find rows that look nearly the same as a row of an earlier split (train, validation, test).

    A perceptual hash finds copies that were scaled, compressed or brightened, but not mirrored,
    rotated or cropped ones. An empty result does not mean that there are no near duplicates. Of
    several nearest rows, one with the same label is returned.

    Args:
        resolutions: images that do not become rows, by key.
        max_distance: bits of the 64-bit hashes that may differ.
    """
    rows = _collect_hashes(candidates)
    is_resolved = arrow.is_in(rows[schema.KEY], arrow.chunked_string_array(resolutions))
    rows = arrow.filter_rows(rows, ~is_resolved)
    hashes = arrow.to_numpy(rows[schema.PERCEPTUAL_HASH]).view(np.uint64)
    split_ids = arrow.to_numpy(rows[schema.SPLIT])
    label_ids = arrow.dictionary_codes(rows[schema.LABEL])
    matches = near_duplicates.match_labelled_hashes(hashes, split_ids, label_ids, max_distance)
    names = (schema.KEY, schema.SPLIT, schema.LABEL)
    images, near_images = (
        arrow.iter_rows(arrow.take_rows(rows, row_numbers), *names)
        for row_numbers in (matches.row, matches.other_row)
    )
    found = [
        NearDuplicate(key, SPLITS[split], label, near_key, SPLITS[near_split], near_label, distance)
        for (key, split, label), (near_key, near_split, near_label), distance in zip(
            images, near_images, matches.distance.tolist()
        )
    ]
    chance_fraction = near_duplicates.measure_chance(hashes, label_ids, max_distance)
    return NearDuplicates(found, chance_fraction)


_HASHES = pa.schema(
    [
        pa.field(schema.KEY, pa.string()),
        pa.field(schema.SPLIT, pa.int8()),
        pa.field(schema.LABEL, pa.string()),
        pa.field(schema.PERCEPTUAL_HASH, pa.int64()),
    ]
)


def _collect_hashes(candidates: Candidates) -> pa.Table:
    """Return all decoded images as _HASHES, without the duplicates of the previous version."""
    previous_rows = [
        (
            table[schema.KEY],
            arrow.repeat_value(
                arrow.number_array([SPLITS.index(file.split)], pa.int8()), table.num_rows
            ),
            table[schema.LABEL],
            table[schema.PERCEPTUAL_HASH],
        )
        for _, file, table in candidates.previous_version.shards
    ]
    new_rows = [
        [decoded[name] for name in _HASHES.names]
        for decoded in (select_decoded(part) for _, part in candidates.all_parts)
    ]
    tables = [pa.table(columns, schema=_HASHES) for columns in [*previous_rows, *new_rows]]
    return pa.concat_tables([arrow.empty_table(_HASHES), *tables])
