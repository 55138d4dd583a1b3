"""Find rows that look nearly the same as a row of an earlier split, and what to do with them."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from typing import Any, NamedTuple, Optional

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from pyspark.sql import SparkSession

from halftone import arrow, storage
from halftone.dataset import schema
from halftone.dataset.splits import SPLITS, hash_to_uint64
from halftone.preprocess import near_duplicates
from halftone.preprocess.candidates import (
    CANDIDATES,
    CHANGED_KINDS,
    DUPLICATES,
    KIND,
    SOURCE,
    SOURCES,
    SourceFile,
    read_source,
    source_frame,
    source_table,
)
from halftone.preprocess.duplicates import notes_url, write_notes
from halftone.preprocess.hash_blocks import HASH, HASHES, ID, LABEL, NEAR_ID
from halftone.preprocess.near_duplicates import MATCHES
from halftone.preprocess.row_notes import ROW_NUMBER
from halftone.spark.actions import ActionProgress, collect_rows
from halftone.spark.frames import (
    AnyFrame,
    build_table,
    create_url_frame,
    expand_rows,
    group_rows,
    map_tables,
    partition_number,
)

# A row of a source file in one number: the index of the file, and the row in it.
_ROW_BITS = 32
# What the search for near hashes needs of CANDIDATES.
_HASHED_NAMES = (SOURCE, ROW_NUMBER, schema.SPLIT, schema.LABEL, schema.PERCEPTUAL_HASH)
_HASHED = pa.schema([CANDIDATES.field(name) for name in _HASHED_NAMES])
_ROWS_PER_PARTITION = 100_000
_READ_THREADS = 16
# A row that is near to a row of an earlier split, with the columns of its image file.
SIMILAR = pa.schema(
    [
        *schema.NEAR_DUPLICATES,
        pa.field(SOURCE, pa.int32()),
        pa.field(ROW_NUMBER, pa.int64()),
        pa.field(schema.SIZE_BYTES, pa.int64()),
        pa.field(schema.MODIFIED, pa.float64()),
        pa.field(schema.DIGEST, pa.binary()),
    ]
)
_MATCH_FILES = pa.schema([pa.field("url", pa.string()), pa.field("rows", pa.int64())])
_RESULTS = pa.schema(
    [
        pa.field(SOURCE, pa.int32()),
        pa.field(schema.SPLIT, pa.string()),
        pa.field(schema.LABEL, pa.string()),
        pa.field("same_label", pa.int8()),
        pa.field("rows", pa.int64()),
        pa.field("url", pa.string()),  # of the file of SIMILAR
    ]
)


class SimilarImages(NamedTuple):
    """All rows that have a near duplicate in an earlier split."""

    num_images: int
    num_other_label: int  # whose nearest row has another label
    chance_fraction: float  # see near_duplicates.measure_chance
    files: tuple[str, ...]  # URLs of files of SIMILAR
    # Of the rows with a near duplicate of the same label: by index of the source file the URL of
    # notes that leave them out, and their number by split; and their number by split and label.
    notes: dict[int, str]
    num_by_source: dict[int, Counter[str]]
    num_by_class: Counter[tuple[str, str]]


def find_similar_images(
    session: Optional[SparkSession], sources: Sequence[SourceFile], max_distance: int, folder: str
) -> SimilarImages:
    """Find rows that look nearly the same as a row of an earlier split (train, validation, test).

    A perceptual hash finds copies that were scaled, compressed or brightened, but not mirrored,
    rotated or cropped ones. An empty result does not mean that there are no near duplicates. Of
    several nearest rows, one with the same label is returned.

    Args:
        session: None if the sources have few rows, see LocalFrame.
        sources: with notes that leave out all images that do not become rows.
        max_distance: bits of the 64-bit hashes that may differ.
        folder: URL of a folder for the results.
    """
    of_rows = [
        source if source.kind != DUPLICATES else source._replace(num_rows={}) for source in sources
    ]
    num_rows = sum(source.num_candidates for source in of_rows)
    hashes = expand_rows(source_frame(session, of_rows), _read_hashes, HASHES)
    matches = near_duplicates.match_hashes(hashes, num_rows, max_distance)
    written = collect_rows(
        map_tables(matches, partial(_write_matches, folder), _MATCH_FILES),
        ActionProgress("compare", "find images that look nearly the same in two splits"),
    )
    chance_fraction = _measure_chance(of_rows, max_distance)
    num_images = sum(row.rows for row in written)
    if not num_images:
        return SimilarImages(0, 0, chance_fraction, (), {}, {}, Counter())
    num_partitions = max(1, -(-num_images // _ROWS_PER_PARTITION))
    files = storage.join(folder, "sources.parquet")
    storage.write_table(files, source_table(of_rows))
    urls = create_url_frame(session, [row.url for row in written], num_partitions)
    found = expand_rows(urls, _read_matches, MATCHES)
    near = _fetch(found, MATCHES, NEAR_ID, files, _NEAR, num_partitions)
    similar = _fetch(near, _NEAR, ID, files, SIMILAR, num_partitions)
    results = collect_rows(
        map_tables(similar, partial(_write_similar, folder), _RESULTS),
        ActionProgress("compare", "look up the images that look nearly the same"),
    )
    return _summarise(results, chance_fraction, folder)


def _summarise(results: Sequence[Any], chance_fraction: float, folder: str) -> SimilarImages:
    num_by_source: defaultdict[int, Counter[str]] = defaultdict(Counter)
    num_by_class: Counter[tuple[str, str]] = Counter()
    num_other_label = 0
    for row in results:
        if row.same_label:
            num_by_source[row[SOURCE]][row.split] += row.rows
            num_by_class[row.split, row.label] += row.rows
        else:
            num_other_label += row.rows
    return SimilarImages(
        sum(row.rows for row in results),
        num_other_label,
        chance_fraction,
        tuple(sorted({row.url for row in results})),
        {source: notes_url(folder, source) for source in num_by_source},
        dict(num_by_source),
        num_by_class,
    )


def _read_hashes(**source: Any) -> Iterator[pa.Table]:
    """Yield HASHES of a source file."""
    for table in read_source(_HASHED, **source):
        sources = arrow.to_numpy(table[SOURCE]).astype(np.int64)
        ids = (sources << _ROW_BITS) | arrow.to_numpy(table[ROW_NUMBER])
        labels = pc.unique(table[schema.LABEL])
        label_hashes = np.array([_hash_label(label) for label in labels.to_pylist()], np.int64)
        label_ids = label_hashes[arrow.index_in(table[schema.LABEL], labels)]
        columns = [
            arrow.number_array(ids, pa.int64()),
            table[schema.SPLIT],
            arrow.number_array(label_ids, pa.int64()),
            table[schema.PERCEPTUAL_HASH],
        ]
        yield pa.table(columns, schema=HASHES)


def _measure_chance(sources: Sequence[SourceFile], max_distance: int) -> float:
    """Return near_duplicates.measure_chance of the rows of the first sources.

    Rows are ordered by hashes of their paths, so these are a random sample.
    """
    tables: list[pa.Table] = []
    for number, source in enumerate(sources):
        if sum(table.num_rows for table in tables) >= near_duplicates.SAMPLE_ROWS:
            break
        if source.num_candidates:
            tables += _read_hashes(**dict(zip(SOURCES.names, source.to_row(number))))
    sample = arrow.concat_tables(tables, HASHES).slice(0, near_duplicates.SAMPLE_ROWS)
    hashes, labels = (arrow.to_numpy(sample[name]) for name in (HASH, LABEL))
    return near_duplicates.measure_chance(hashes.view(np.uint64), labels, max_distance)


def _hash_label(label: str) -> int:
    return hash_to_uint64(label, 0, "label") - 2**63


def _write_matches(folder: str, tables: Iterator[pa.Table]) -> Iterator[pa.Table]:
    table = arrow.concat_tables(tables, MATCHES)
    if table.num_rows:
        url = storage.join(folder, f"matches-{partition_number():06d}.parquet")
        storage.write_table(url, table.combine_chunks())
        yield build_table([(url, table.num_rows)], _MATCH_FILES)


def _read_matches(url: str) -> Iterator[pa.Table]:
    yield storage.read_table(url)


_NEAR = pa.schema(
    [
        *MATCHES,
        pa.field(schema.NEAR_PATH, pa.string()),
        pa.field(schema.NEAR_SPLIT, pa.string()),
        pa.field(schema.NEAR_LABEL, pa.string()),
    ]
)


def _fetch(
    matches: AnyFrame,
    matches_schema: pa.Schema,
    id_name: str,
    files: str,
    result: pa.Schema,
    num_partitions: int,
) -> AnyFrame:
    """Return `result`: the matches with the columns of the rows whose ids they have.

    Args:
        matches: a frame of `matches_schema`.
        files: URL of a file of SOURCES.
    """
    places = [pa.field(SOURCE, pa.int32()), pa.field(ROW_NUMBER, pa.int64())]
    located = map_tables(
        matches, partial(_locate_rows, id_name), pa.schema([*matches_schema, *places])
    )
    by_source = group_rows(located, num_partitions, SOURCE, ROW_NUMBER)
    return map_tables(by_source, partial(_fetch_rows, id_name, files, result), result)


def _locate_rows(id_name: str, tables: Iterable[pa.Table]) -> Iterator[pa.Table]:
    for table in tables:
        ids = arrow.to_numpy(table[id_name])
        source_numbers = arrow.number_array(ids >> _ROW_BITS, pa.int32())
        row_numbers = arrow.number_array(ids & (2**_ROW_BITS - 1), pa.int64())
        yield table.append_column(SOURCE, source_numbers).append_column(ROW_NUMBER, row_numbers)


def _fetch_rows(
    id_name: str, files: str, result: pa.Schema, tables: Iterable[pa.Table]
) -> Iterator[pa.Table]:
    sources = {row[SOURCE]: row for row in storage.read_table(files).to_pylist()}
    fetch = partial(_fetch_of_source, id_name, result)
    with ThreadPoolExecutor(_READ_THREADS) as pool:
        for table in tables:
            runs = [
                (sources[number], matches) for number, matches in arrow.iter_runs(table, SOURCE)
            ]
            yield from pool.map(fetch, *zip(*runs))


def _fetch_of_source(
    id_name: str, result: pa.Schema, source: Mapping[str, Any], matches: pa.Table
) -> pa.Table:
    """Return `result` of the matches in one source file, a row of SOURCES."""
    is_part = source[KIND] in CHANGED_KINDS
    names = [schema.KEY, schema.LABEL, schema.SOURCE_BYTES, schema.SOURCE_MODIFIED]
    names += [schema.SOURCE_DIGEST, *([schema.SPLIT] if is_part else [])]
    rows = arrow.take_rows(
        storage.read_table(source["url"], names), arrow.to_numpy(matches[ROW_NUMBER])
    )
    split_ids = (
        rows[schema.SPLIT].to_pylist() if is_part else [source[schema.SPLIT]] * rows.num_rows
    )
    split_names = arrow.string_array([SPLITS[split_id] for split_id in split_ids])
    if id_name == NEAR_ID:
        new = {
            schema.NEAR_PATH: rows[schema.KEY],
            schema.NEAR_SPLIT: split_names,
            schema.NEAR_LABEL: rows[schema.LABEL],
        }
    else:
        new = {
            schema.PATH: rows[schema.KEY],
            schema.SPLIT: split_names,
            schema.LABEL: rows[schema.LABEL],
            schema.SIZE_BYTES: rows[schema.SOURCE_BYTES],
            schema.MODIFIED: rows[schema.SOURCE_MODIFIED],
            schema.DIGEST: pc.cast(rows[schema.SOURCE_DIGEST], pa.binary()),
        }
    columns = [new[name] if name in new else matches[name] for name in result.names]
    return arrow.conform(pa.table(columns, names=result.names), result)


def _write_similar(folder: str, tables: Iterator[pa.Table]) -> Iterator[pa.Table]:
    """Write SIMILAR images, and notes that leave out those with the same label; yield counts."""
    table = arrow.concat_tables(tables, SIMILAR).combine_chunks()
    if not table.num_rows:
        return
    url = storage.join(folder, f"images-{partition_number():06d}.parquet")
    storage.write_table(url, table)
    is_same = pc.cast(pc.equal(table[schema.LABEL], table[schema.NEAR_LABEL]), pa.int8())
    same = arrow.filter_rows(table, arrow.to_numpy(is_same) == 1)
    write_notes(folder, same)
    counts: Counter[tuple[int, str, str, int]] = Counter()
    names = (SOURCE, schema.SPLIT, schema.LABEL, schema.NEAR_LABEL)
    for source, split, label, near_label in arrow.iter_rows(table, *names):
        counts[source, split, label, int(label == near_label)] += 1
    yield build_table([(*key, count, url) for key, count in counts.items()], _RESULTS)
