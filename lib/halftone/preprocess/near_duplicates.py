"""Find rows whose perceptual hash is near to that of a row of an earlier split.

Such rows make a test score too good, as the model was trained on nearly the same image.

Two images look alike if their 64-bit hashes (see images/perceptual.py) differ in few bits. The
search is exact, but compares few pairs: only hashes that share a key (see hash_keys.py). One
function writes the rows of each task in blocks, one for each key and range of its values. Spark
moves each block to the task that compares the rows of that range.
"""

from __future__ import annotations

from collections.abc import Iterator
from functools import partial

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from halftone import arrow
from halftone.dataset import schema
from halftone.preprocess.hash_blocks import (
    BLOCKS,
    ID,
    NEAR_ID,
    NEAREST,
    PARTITION_KEY,
    RANK,
    pack_blocks,
    search_blocks,
)
from halftone.preprocess.hash_keys import plan_search
from halftone.preprocess.hash_search import count_bits
from halftone.spark.frames import AnyFrame, group_rows, map_tables
from halftone.spark.partition_keys import partition_keys

# At most, if all rows match.
_ROWS_PER_RESULT_PARTITION = 250_000
MATCHES = pa.schema(
    [
        pa.field(ID, pa.int64()),
        pa.field(NEAR_ID, pa.int64()),
        pa.field(schema.DISTANCE, pa.int32()),  # bits of 64 that differ
    ]
)

# Of measure_chance.
SAMPLE_ROWS = 10_000
_SAMPLE_PAIRS = 200_000


def match_hashes(hashes: AnyFrame, num_rows: int, max_distance: int) -> AnyFrame:
    """Find all rows within `max_distance` bits of a row of an earlier split, and the nearest one.

    Rows of the same split are not compared. Each row is compared with all rows of all earlier
    splits, also with those that are reported themselves. Of several nearest rows, one with the same
    label is returned, and of these that with the least id.

    Args:
        hashes: a frame of HASHES. Split 0 is the first, a smaller number an earlier one. Labels are
            equal if their numbers are.
        num_rows: of `hashes`; determines the number of tasks, not the result.
        max_distance: 0 to 63.

    Returns:
        MATCHES; one row for each row that has a match.

    Raises:
        ValueError: `max_distance` is out of range.
    """
    plan = plan_search(num_rows, max_distance)
    keys = partition_keys(plan.num_partitions)
    blocks = map_tables(hashes, partial(pack_blocks, plan, keys), BLOCKS)
    units = group_rows(blocks, plan.num_partitions, PARTITION_KEY)
    nearest = map_tables(units, partial(search_blocks, plan), NEAREST)
    num_partitions = max(1, -(-num_rows // _ROWS_PER_RESULT_PARTITION))
    of_rows = group_rows(nearest, num_partitions, ID, RANK, NEAR_ID)
    return map_tables(of_rows, _keep_first, MATCHES)


def _keep_first(tables: Iterator[pa.Table]) -> Iterator[pa.Table]:
    """Yield MATCHES: the first of the NEAREST rows of each id, which are sorted."""
    table = arrow.concat_tables(tables, NEAREST)
    ids = arrow.to_numpy(table[ID])
    is_first = np.ones(len(ids), bool)
    is_first[1:] = ids[1:] != ids[:-1]
    first = arrow.filter_rows(table, is_first)
    distances = arrow.number_array(arrow.to_numpy(first[RANK]) >> 1, pa.int32())
    yield pa.table([first[ID], first[NEAR_ID], distances], schema=MATCHES)


def measure_chance(
    hashes: npt.NDArray[np.uint64], labels: npt.NDArray[np.int64], max_distance: int
) -> float:
    """Return the fraction of random pairs of rows with different labels within `max_distance`.

    Such rows show different things, so the fraction tells how often a match means nothing. The
    pairs are the same in each call.

    Args:
        hashes: (n,) of a sample of SAMPLE_ROWS rows or fewer.
        labels: (n,), equal for rows with the same label.
    """
    if not len(hashes):
        return 0.0
    first, second = np.random.default_rng(0).integers(0, len(hashes), (2, _SAMPLE_PAIRS))
    is_pair = labels[first] != labels[second]
    distance = count_bits(hashes[first[is_pair]] ^ hashes[second[is_pair]])
    return float((distance <= max_distance).mean()) if len(distance) else 0.0
