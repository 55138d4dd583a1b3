"""Blocks of hashes: the rows of one task that belong to one unit of a search.

Spark moves whole blocks. A row for each hash and key would take it ten times as long.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Iterator, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from halftone import arrow
from halftone.preprocess.hash_keys import BITS, BitOrder, Hashes, SearchPlan, count_mask_bits
from halftone.preprocess.hash_search import HashRows, Nearest, find_nearest, keep_least_ids

ID, SPLIT, LABEL, HASH = "id", "split", "label", "hash"
HASHES = pa.schema(
    [
        pa.field(ID, pa.int64()),
        pa.field(SPLIT, pa.int8()),
        pa.field(LABEL, pa.int64()),
        pa.field(HASH, pa.int64()),
    ]
)
NEAR_ID, RANK = "near_id", "rank"
PARTITION_KEY = "partition_key"
BLOCKS = pa.schema(
    [
        pa.field(PARTITION_KEY, pa.int32()),
        pa.field("unit", pa.int32()),
        pa.field("split", pa.int8()),
        # 8 bytes for each row, in the byte order of the machine.
        pa.field("hashes", pa.binary()),
        pa.field("ids", pa.binary()),
        pa.field("labels", pa.binary()),
    ]
)
NEAREST = pa.schema(
    [pa.field(ID, pa.int64()), pa.field(NEAR_ID, pa.int64()), pa.field(RANK, pa.int32())]
)
_SLICE_ROWS = 1 << 18
_FIRST_SPLIT = 0
_MIX = np.uint64(0x9E3779B97F4A7C15)  # 2**64 / golden ratio: spreads similar values


def pack_blocks(
    plan: SearchPlan, partition_keys: Sequence[int], tables: Iterator[pa.Table]
) -> Iterator[pa.Table]:
    """Yield BLOCKS of tables of HASHES: each row once for each key.

    Args:
        partition_keys: value of the column PARTITION_KEY for each partition of the plan.
    """
    orders = [BitOrder(mask) for mask in plan.key_masks]
    for table in _join_tables(tables):
        splits = dict(_divide_splits(table))
        for key, (mask, order) in enumerate(zip(plan.key_masks, orders)):
            first_unit = key * plan.num_ranges
            blocks = []
            for split, rows in splits.items():
                moved = rows._replace(hashes=order.move_bits(rows.hashes))
                ranges = _divide_ranges(moved, count_mask_bits(mask), plan.num_ranges)
                for unit, part in enumerate(ranges, first_unit):
                    partition_key = partition_keys[plan.find_partition(unit)]
                    blocks.append([partition_key, unit, split, *(a.tobytes() for a in part)])
            yield _block_table(blocks)


def _join_tables(tables: Iterable[pa.Table]) -> Iterator[pa.Table]:
    """Yield larger tables: Spark's have 128 rows."""
    waiting: list[pa.Table] = []
    num_rows = 0
    for table in tables:
        waiting.append(table)
        num_rows += table.num_rows
        if num_rows >= _SLICE_ROWS:
            yield pa.concat_tables(waiting).combine_chunks()
            waiting, num_rows = [], 0
    if num_rows:
        yield pa.concat_tables(waiting).combine_chunks()


def _divide_splits(table: pa.Table) -> Iterator[tuple[int, HashRows]]:
    splits = arrow.to_numpy(table[SPLIT])
    rows = HashRows(
        arrow.to_numpy(table[HASH]).view(np.uint64),
        arrow.to_numpy(table[ID]),
        arrow.to_numpy(table[LABEL]),
    )
    for split in np.unique(splits).tolist():
        of_split = _take(rows, np.flatnonzero(splits == split))
        # Rows of the first split are only compared with, so one of equal ones is enough.
        yield split, keep_least_ids(of_split) if split == _FIRST_SPLIT else of_split


def _take(rows: HashRows, places: npt.NDArray[np.int64]) -> HashRows:
    return HashRows(rows.hashes[places], rows.ids[places], rows.labels[places])


def _divide_ranges(rows: HashRows, key_bits: int, num_ranges: int) -> Iterator[HashRows]:
    """Divide rows by the value of their key, which is in the highest bits of the hashes."""
    if num_ranges == 1:
        yield rows
        return
    # Keys of images are not evenly distributed; mixed ones nearly are.
    mixed = (rows.hashes >> np.uint64(BITS - key_bits)) * _MIX >> np.uint64(32)
    numbers = (mixed * np.uint64(num_ranges) >> np.uint64(32)).astype(np.uint16)
    order = np.argsort(numbers, kind="stable")  # for 16 bits, a radix sort
    ends = np.cumsum(np.bincount(numbers, minlength=num_ranges))
    for places in np.split(order, ends[:-1]):
        yield _take(rows, places)


def _block_table(blocks: Sequence[Sequence[Any]]) -> pa.Table:
    columns = [arrow.make_array(values, field.type) for values, field in zip(zip(*blocks), BLOCKS)]
    return pa.table(columns, schema=BLOCKS)


def search_blocks(plan: SearchPlan, tables: Iterator[pa.Table]) -> Iterator[pa.Table]:
    """Yield NEAREST of tables of BLOCKS that have all blocks of some units.

    A row is in the result once at most for each unit.
    """
    for unit, splits in sorted(_collect_units(tables).items()):
        masks = plan.key_masks[: unit // plan.num_ranges + 1]
        # The earlier keys, where the bits of the hashes now are.
        earlier_keys = BitOrder(masks[-1]).move_bits(np.array(masks[:-1], np.uint64))
        rows = {split: HashRows(*_join_blocks(blocks)) for split, blocks in splits.items()}
        key_bits = count_mask_bits(masks[-1])
        for nearest in find_nearest(rows, key_bits, earlier_keys, plan.max_distance):
            yield _nearest_table(nearest)


_Block = tuple[Hashes, npt.NDArray[np.int64], npt.NDArray[np.int64]]


def _collect_units(tables: Iterable[pa.Table]) -> dict[int, dict[int, list[_Block]]]:
    """Return the blocks of each unit and split."""
    units: dict[int, dict[int, list[_Block]]] = defaultdict(lambda: defaultdict(list))
    for table in tables:
        data = [arrow.offsets_and_data(table[name]) for name in ("hashes", "ids", "labels")]
        for number, (unit, split) in enumerate(arrow.iter_rows(table, "unit", "split")):
            hashes, ids, labels = (
                values[offsets[number] : offsets[number + 1]] for offsets, values in data
            )
            block = hashes.view(np.uint64), ids.view(np.int64), labels.view(np.int64)
            units[unit][split].append(block)
    return units


def _join_blocks(blocks: Sequence[_Block]) -> tuple[Any, ...]:
    return tuple(np.concatenate(arrays) for arrays in zip(*blocks))


def _nearest_table(nearest: Nearest) -> pa.Table:
    columns = [arrow.number_array(values, field.type) for values, field in zip(nearest, NEAREST)]
    return pa.table(columns, schema=NEAREST)
