"""Find images with the same bytes: a shuffle by digest, and a decision about each group.

What becomes of the images that are left out is written to files: notes on the rows of each source
file, and RESOLVED images, from which the tables of rejects and duplicates are made.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from functools import partial
from typing import NamedTuple, Optional

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from pyspark.sql import SparkSession

from halftone import arrow, storage
from halftone.dataset import schema
from halftone.dataset.splits import SPLITS
from halftone.preprocess.candidates import (
    CANDIDATES,
    CHANGED_KINDS,
    GONE,
    KIND,
    SOURCE,
    SourceFile,
    read_source,
    source_frame,
)
from halftone.preprocess.decode_block import has_partial_digest
from halftone.preprocess.entries import CONFLICT, DUPLICATE
from halftone.preprocess.read_ahead import digest_whole_files
from halftone.preprocess.row_notes import DROPPED, ROW_NOTES, ROW_NUMBER
from halftone.spark.actions import ActionProgress, collect_rows
from halftone.spark.frames import build_table, expand_rows, group_rows, map_tables, partition_number

_ROWS_PER_PARTITION = 50_000
_STATUS = "status"
_CANDIDATES = pa.schema([field for field in CANDIDATES if field.name != schema.PERCEPTUAL_HASH])
# An image that does not become a row, or a count of the images that do.
RESOLVED = pa.schema(
    [
        pa.field(SOURCE, pa.int32()),  # -1: this is a count
        pa.field(ROW_NUMBER, pa.int64()),  # in the source file; or the count
        pa.field(schema.SPLIT, pa.int8()),
        pa.field(schema.LABEL, pa.string()),
        pa.field(schema.KEY, pa.string()),
        pa.field(schema.SIZE_BYTES, pa.int64()),
        pa.field(schema.MODIFIED, pa.float64()),
        pa.field(schema.DIGEST, pa.binary()),
        pa.field(_STATUS, pa.string()),  # DUPLICATE or the reason of the rejection
        pa.field(schema.DETAIL, pa.string()),  # of a duplicate: the key of the image that is kept
    ]
)
_NO_SOURCE = -1
_RESULTS = pa.schema(
    [
        pa.field(SOURCE, pa.int32()),  # of the rows that are left out; or _NO_SOURCE
        pa.field(schema.SPLIT, pa.int8()),
        pa.field(schema.LABEL, pa.string()),  # of the rows that stay
        pa.field("rows", pa.int64()),
        pa.field("url", pa.string()),  # of the file of RESOLVED
        pa.field(_STATUS, pa.string()),
    ]
)


class Resolutions(NamedTuple):
    """The rows that are left out because of other images, and the rows that stay."""

    # By index of the source file: the URL of notes, and the number of rows left out by split.
    notes: dict[int, str]
    num_dropped: dict[int, Counter[str]]
    counts: Counter[tuple[str, str]]  # rows that stay, by split and label
    num_by_status: Counter[str]  # images that are left out
    files: tuple[str, ...]  # URLs of files of RESOLVED


class DigestMatch(NamedTuple):
    """A decoded image that shares its digest with another image."""

    kind: int
    key: str
    label: str
    source_bytes: int
    is_gone: bool
    number: int  # in its group


class Resolution(NamedTuple):
    """Why a decoded image does not become a row."""

    status: str  # DUPLICATE or the reason of the rejection
    detail: str  # of a duplicate: the key of the image that is kept


def resolve_exact_duplicates(
    session: Optional[SparkSession], sources: Sequence[SourceFile], folder: str
) -> Resolutions:
    """Find the images with the same bytes, of which at most one becomes a row.

    Args:
        session: None if the sources have few rows, see LocalFrame.
        sources: all files with rows or duplicates that the next version may hold.
        folder: URL of a folder for the results.
    """
    num_candidates = sum(source.num_candidates for source in sources)
    num_partitions = max(1, -(-num_candidates // _ROWS_PER_PARTITION))
    files = source_frame(session, sources)
    candidates = expand_rows(files, partial(read_source, _CANDIDATES), _CANDIDATES)
    groups = group_rows(candidates, num_partitions, schema.DIGEST, KIND, schema.KEY)
    resolved = map_tables(groups, resolve_partition, RESOLVED)
    by_source = group_rows(resolved, -(-num_partitions // 4), SOURCE, ROW_NUMBER)
    results = collect_rows(
        map_tables(by_source, partial(_write_resolutions, folder), _RESULTS),
        ActionProgress("compare", "find images with the same bytes"),
    )
    num_dropped: defaultdict[int, Counter[str]] = defaultdict(Counter)
    counts: Counter[tuple[str, str]] = Counter()
    num_by_status: Counter[str] = Counter()
    for row in results:
        split = SPLITS[row.split] if row.split >= 0 else ""
        if row[_STATUS]:
            num_dropped[row[SOURCE]][split] += row.rows
            num_by_status[row[_STATUS]] += row.rows
        else:
            counts[split, row.label] += row.rows
    return Resolutions(
        {source: notes_url(folder, source) for source in num_dropped},
        dict(num_dropped),
        counts,
        num_by_status,
        tuple(sorted({row.url for row in results if row.url})),
    )


def notes_url(folder: str, source: int) -> str:
    """Return the URL of the ROW_NOTES of a source file in a folder of results."""
    return storage.join(folder, f"notes-{source:06d}.parquet")


def resolve_partition(tables: Iterator[pa.Table]) -> Iterator[pa.Table]:
    """Yield RESOLVED images of a partition of CANDIDATES, sorted by digest, kind and key."""
    counts: Counter[tuple[int, str]] = Counter()  # rows that stay, by split and label
    for table in _iter_whole_groups(tables):
        _count_rows(table, counts, 1)
        resolved = _resolve_table(table)
        if resolved.num_rows:
            _count_rows(resolved, counts, -1)
            yield resolved
    rows = [
        (_NO_SOURCE, count, split, label, "", 0, 0.0, b"", "", "")
        for (split, label), count in sorted(counts.items())
        if split >= 0 and count
    ]
    yield build_table(rows, RESOLVED)


def _iter_whole_groups(tables: Iterator[pa.Table]) -> Iterator[pa.Table]:
    """Yield tables that end where a group of equal digests ends."""
    pending: list[pa.Table] = []
    for table in tables:
        if not table.num_rows:
            continue
        digests = table[schema.DIGEST]
        last = digests[table.num_rows - 1]
        start = _first_index(digests, last)
        if start or (pending and pending[-1][schema.DIGEST][-1] != last):
            yield pa.concat_tables([*pending, table.slice(0, start)]).combine_chunks()
            pending = []
        pending.append(table.slice(start))
    if pending:
        yield pa.concat_tables(pending).combine_chunks()


def _first_index(digests: pa.ChunkedArray, value: pa.Scalar) -> int:
    is_last = pc.cast(pc.equal(digests, value), pa.int8())
    return int(np.flatnonzero(arrow.to_numpy(is_last))[0])


def _count_rows(table: pa.Table, counts: Counter[tuple[int, str]], sign: int) -> None:
    split_ids = arrow.to_numpy(table[schema.SPLIT])
    for split_id in np.unique(split_ids):
        labels = arrow.filter_rows(table.select([schema.LABEL]), split_ids == split_id)
        for count in pc.value_counts(labels[schema.LABEL]).to_pylist():
            counts[int(split_id), count["values"]] += sign * count["counts"]


def _resolve_table(table: pa.Table) -> pa.Table:
    codes = arrow.dictionary_codes(table[schema.DIGEST])
    sizes = np.bincount(codes) if len(codes) else np.empty(0, np.int64)
    has_changed = np.zeros(len(sizes), bool)
    has_changed[codes[np.isin(arrow.to_numpy(table[KIND]), CHANGED_KINDS)]] = True
    rows = np.flatnonzero(((sizes > 1) & has_changed)[codes])
    shared = arrow.take_rows(table, rows)
    groups: dict[int, list[DigestMatch]] = defaultdict(list)
    names = (KIND, schema.KEY, schema.LABEL, schema.SIZE_BYTES, GONE)
    for index, (code, row) in enumerate(zip(codes[rows].tolist(), arrow.iter_rows(shared, *names))):
        kind, key, label, source_bytes, gone = row
        groups[code].append(DigestMatch(kind, key, label, source_bytes, bool(gone), index))
    resolutions: dict[int, Resolution] = {}
    full_digests = _digest_groups(groups.values())
    for group in groups.values():
        resolutions.update(_resolve_group(group, full_digests))
    dropped = arrow.take_rows(shared, sorted(resolutions))
    ordered = [resolutions[index] for index in sorted(resolutions)]
    columns = {
        **{name: dropped[name] for name in RESOLVED.names if name in CANDIDATES.names},
        _STATUS: arrow.string_array([status for status, _ in ordered]),
        schema.DETAIL: arrow.string_array([detail for _, detail in ordered]),
    }
    return pa.table([columns[name] for name in RESOLVED.names], schema=RESOLVED)


def _digest_groups(groups: Iterable[Sequence[DigestMatch]]) -> dict[str, str]:
    """Return digests of all bytes, by key, of the images of groups that need them.

    All at once: to look up members in an archive, its directory is read.
    """
    sizes: dict[str, int] = {}
    for group in groups:
        existing = [match for match in group if not match.is_gone]
        if has_partial_digest(group[0].source_bytes) and len(existing) > 1:
            sizes.update((match.key, match.source_bytes) for match in existing)
    return digest_whole_files(sizes)


def _resolve_group(
    group: Sequence[DigestMatch], full_digests: Mapping[str, str]
) -> dict[int, Resolution]:
    """Return the resolution of each image of a group that does not become a row, by index.

    Args:
        group: images with one digest, of which at least one is new or moved.
        full_digests: of all bytes, by key; of other images, those of the group decide.
    """
    resolutions: dict[int, Resolution] = {}
    for matches in _split_by_full_digest(group, full_digests):
        if len(matches) > 1 and any(match.kind in CHANGED_KINDS for match in matches):
            resolutions.update(_resolve_equal(sorted(matches)))
    return resolutions


def _split_by_full_digest(
    group: Sequence[DigestMatch], full_digests: Mapping[str, str]
) -> list[list[DigestMatch]]:
    """Return the images of a group that are equal in all bytes.

    A file that no longer exists counts as equal to the others if these are all equal: most likely
    it was moved or renamed. Otherwise it is equal to none.
    """
    by_full_digest: dict[Optional[str], list[DigestMatch]] = {}
    for match in group:
        if not match.is_gone:
            by_full_digest.setdefault(full_digests.get(match.key), []).append(match)
    gone = [match for match in group if match.is_gone]
    if len(by_full_digest) == 1:
        return [[*gone, *matches] for matches in by_full_digest.values()]
    return list(by_full_digest.values())


def _resolve_equal(matches: Sequence[DigestMatch]) -> dict[int, Resolution]:
    """Resolve images with the same bytes, sorted by kind and key."""
    first = matches[0]
    if any(match.label != first.label for match in matches):
        # A file that no longer exists conflicts with none: the others decide which label is right.
        existing = [match for match in matches if not match.is_gone] or matches
        first = existing[0]
        if any(match.label != first.label for match in existing):
            return _conflicts(matches)
    return {
        match.number: Resolution(DUPLICATE, first.key)
        for match in matches
        if match.number != first.number
    }


def _conflicts(matches: Sequence[DigestMatch]) -> dict[int, Resolution]:
    first = matches[0]
    first_other = next(match for match in matches if match.label != first.label)
    resolutions = {}
    for match in matches:
        other = first_other if match.label == first.label else first
        detail = (
            f"label {match.label!r}, but {other.key} has the same bytes and label {other.label!r}"
        )
        resolutions[match.number] = Resolution(CONFLICT, detail)
    return resolutions


def _write_resolutions(folder: str, tables: Iterator[pa.Table]) -> Iterator[pa.Table]:
    """Write RESOLVED images of a partition, and notes on the rows of each source; yield counts."""
    table = arrow.concat_tables(tables, RESOLVED).combine_chunks()
    source_ids = arrow.to_numpy(table[SOURCE])
    images = arrow.filter_rows(table, source_ids >= 0)
    url = ""
    if images.num_rows:
        url = storage.join(folder, f"images-{partition_number():06d}.parquet")
        storage.write_table(url, images)
    write_notes(folder, images)
    counts: Counter[tuple[int, int, str, str]] = Counter()
    names = (SOURCE, ROW_NUMBER, schema.SPLIT, schema.LABEL, _STATUS)
    for source, number, split, label, status in arrow.iter_rows(table, *names):
        if source == _NO_SOURCE:
            counts[source, split, label, status] += number
        else:
            counts[source, split, "", status] += 1
    rows = [
        (source, split, label, count, url if status else "", status)
        for (source, split, label, status), count in counts.items()
    ]
    yield build_table(rows, _RESULTS)


def write_notes(folder: str, images: pa.Table) -> None:
    """Write a file of ROW_NOTES for each source file in a table that is sorted by source."""
    for source, rows in arrow.iter_runs(images, SOURCE):
        columns = [
            rows[ROW_NUMBER],
            arrow.repeat_value(arrow.string_array([DROPPED]), rows.num_rows),
            arrow.repeat_value(arrow.string_array([""]), rows.num_rows),
            arrow.repeat_value(arrow.number_array([-1], pa.int8()), rows.num_rows),
        ]
        storage.write_table(notes_url(folder, source), pa.table(columns, schema=ROW_NOTES))
