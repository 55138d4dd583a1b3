"""Rows of HASHES, the result of comparing all pairs of them, and a search without Spark."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import NamedTuple

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from hypothesis import strategies as st

from halftone import arrow
from halftone.preprocess.hash_blocks import BLOCKS, HASHES, pack_blocks, search_blocks
from halftone.preprocess.hash_keys import SearchPlan


class HashRow(NamedTuple):
    id: int
    split: int
    label: int
    hash: int  # 0 to 2**64 - 1


Match = tuple[int, int, int]  # id, near id, distance


def hash_table(rows: Iterable[HashRow]) -> pa.Table:
    signed = [row._replace(hash=row.hash - (row.hash >> 63 << 64)) for row in rows]
    return pa.Table.from_pylist([row._asdict() for row in signed], schema=HASHES)


def match_all_pairs(rows: Sequence[HashRow], max_distance: int) -> list[Match]:
    matches = []
    for row in rows:
        candidates = [
            (bin(row.hash ^ other.hash).count("1"), row.label != other.label, other.id)
            for other in rows
            if other.split < row.split
        ]
        if candidates and min(candidates)[0] <= max_distance:
            distance, _, near_id = min(candidates)
            matches.append((row.id, near_id, distance))
    return sorted(matches)


def match_by_plan(
    rows: Sequence[HashRow], plan: SearchPlan, tables: Sequence[pa.Table] = ()
) -> list[Match]:
    """Do what the Spark job does: pack blocks, search each partition, keep the best."""
    keys = range(plan.num_partitions)
    packed = pack_blocks(plan, keys, iter(tables or [hash_table(rows)]))
    blocks = pa.concat_tables([arrow.empty_table(BLOCKS), *packed])
    best: dict[int, tuple[int, int]] = {}
    for key in keys:
        mine = blocks.filter(pc.equal(blocks["partition_key"], key))
        for found in search_blocks(plan, iter([mine])):
            for row_id, near_id, rank in zip(*found.to_pydict().values()):
                best[row_id] = min(best.get(row_id, (rank, near_id)), (rank, near_id))
    return sorted((row_id, near_id, rank // 2) for row_id, (rank, near_id) in best.items())


def random_rows(count: int) -> list[HashRow]:
    """Rows of which a third are near others or equal to them."""
    rng = np.random.default_rng(1)
    hashes = rng.integers(0, 2**64, count, dtype=np.uint64)
    copies = hashes[rng.integers(0, count, count // 3)]
    for _ in range(4):
        copies ^= rng.choice(2, len(copies)).astype(np.uint64) << rng.integers(
            0, 64, len(copies), dtype=np.uint64
        )
    hashes[rng.permutation(count)[: len(copies)]] = copies
    columns = (rng.permutation(count), rng.choice(3, count), rng.choice(2, count), hashes)
    return [HashRow(*values) for values in zip(*(column.tolist() for column in columns))]


@st.composite
def hash_rows(draw: st.DrawFn) -> list[HashRow]:
    """Rows around a few centres, so that many are near or equal, in any order of ids."""
    centres = draw(st.lists(st.integers(0, 2**64 - 1), min_size=1, max_size=3))
    few_bits = st.lists(st.integers(0, 63), max_size=6).map(
        lambda bits: sum(1 << bit for bit in set(bits))
    )
    hashes = draw(
        st.lists(
            st.tuples(st.sampled_from(centres), few_bits).map(lambda pair: pair[0] ^ pair[1]),
            max_size=30,
        )
    )
    some_ids = st.integers(-(2**63), 2**63 - 1)
    ids = draw(st.lists(some_ids, min_size=len(hashes), max_size=len(hashes), unique=True))
    labels = st.sampled_from([-(2**63), 0, 1, 2**63 - 1])
    return [
        HashRow(row_id, draw(st.integers(0, 2)), draw(labels), value)
        for row_id, value in zip(ids, hashes)
    ]
