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
import numpy.typing as npt
from pyspark.sql import DataFrame
from pyspark.sql import functions as F

from halftone.preprocess.hash_blocks import (
    BLOCKS,
    ID,
    NEAREST,
    PARTITION_KEY,
    pack_blocks,
    search_blocks,
)
from halftone.preprocess.hash_keys import plan_search
from halftone.preprocess.hash_search import count_bits
from halftone.spark.frames import map_tables
from halftone.spark.partition_keys import partition_keys

_ROWS_PER_RESULT_PARTITION = 1 << 20  # at most, if all rows match

# Of measure_chance.
SAMPLE_ROWS = 10_000
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
