"""Find rows whose perceptual hash is near to that of a row of an earlier split, in Spark.

Such rows make a test score too good, as the model was trained on nearly the same image.

Two images look alike if their 64-bit hashes (see images/perceptual.py) differ in few bits. The
search is exact, but compares few pairs: only hashes that share a key (see hash_keys.py). One UDF
writes the rows of each task in blocks, one for each key and range of its values. Spark moves each
block to the task that compares the rows of that range.
"""

from __future__ import annotations

from functools import partial

import numpy as np
from pyspark.sql import DataFrame
from pyspark.sql import functions as F

from halftone.preprocess.hash_blocks import (
    BLOCKS,
    HASH,
    ID,
    LABEL,
    NEAREST,
    PARTITION_KEY,
    pack_blocks,
    search_blocks,
)
from halftone.preprocess.hash_keys import plan_search
from halftone.preprocess.hash_search import count_bits
from halftone.spark.actions import ActionProgress, collect_rows
from halftone.spark.frames import map_tables
from halftone.spark.partition_keys import partition_keys

_ROWS_PER_RESULT_PARTITION = 1 << 20  # at most, if all rows match

# Of measure_chance.
_SAMPLE_ROWS = 10_000
_SAMPLE_PAIRS = 200_000


def match_hashes(hashes: DataFrame, num_rows: int, max_distance: int) -> DataFrame:
    """Find all rows within `max_distance` bits of a row of an earlier split, and the nearest one.

    Rows of the same split are not compared. Each row is compared with all rows of all earlier
    splits, also with those that are reported themselves. Of several nearest rows, one with the same
    label is returned, and of these that with the least id.

    Args:
        hashes: HASHES (id bigint, split tinyint, label bigint, hash bigint). 0 is the first split,
            a smaller number an earlier one. Labels are equal if their numbers are.
        num_rows: of `hashes`; determines the number of tasks, not the result.
        max_distance: 0 to 63.

    Returns:
        id bigint, near_id bigint, distance int, in any order; one row for each match.

    Raises:
        ValueError: `max_distance` is out of range.
    """
    plan = plan_search(num_rows, max_distance)
    keys = partition_keys(plan.num_partitions)
    blocks = map_tables(hashes, partial(pack_blocks, plan, keys), BLOCKS)
    units = blocks.repartition(plan.num_partitions, PARTITION_KEY)
    nearest = map_tables(units, partial(search_blocks, plan), NEAREST)
    if plan.num_partitions > 1:
        nearest = nearest.repartition(-(-num_rows // _ROWS_PER_RESULT_PARTITION), ID)
    best = nearest.groupBy(ID).agg(F.min(F.struct("rank", "near_id")).alias("best"))
    distance = F.shiftright("best.rank", 1).alias("distance")
    return best.select(ID, F.col("best.near_id").alias("near_id"), distance)


def measure_chance(hashes: DataFrame, num_rows: int, max_distance: int) -> float:
    """Return the fraction of random pairs of rows with different labels within `max_distance`.

    Such rows show different things, so the fraction tells how often a match means nothing. The
    pairs, of some 10,000 rows, are the same in each call.

    Args:
        hashes: HASHES, see `match_hashes`.
        num_rows: of `hashes`.
    """
    if num_rows > _SAMPLE_ROWS:
        limit = -(2**63) + 2**64 * _SAMPLE_ROWS // num_rows
        hashes = hashes.where(F.xxhash64(ID) < limit)
    progress = ActionProgress("near duplicates", "sample the hashes of images")
    rows = collect_rows(hashes.sparkSession, hashes.select(ID, LABEL, HASH), progress)
    if not rows:
        return 0.0
    table = np.array(rows, np.int64)
    _, labels, values = table[np.argsort(table[:, 0])].T
    first, second = np.random.default_rng(0).integers(0, len(rows), (2, _SAMPLE_PAIRS))
    is_pair = labels[first] != labels[second]
    distance = count_bits((values[first[is_pair]] ^ values[second[is_pair]]).view(np.uint64))
    return float((distance <= max_distance).mean()) if len(distance) else 0.0
