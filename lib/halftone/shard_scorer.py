"""One shard to predictions. Runs in Spark's Python workers."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from halftone import columns, predict, schema, scored, storage
from halftone.predict import Probabilities, Work
from halftone.scored import Scored


def score_shard(
    work: Work, fingerprint: str, pairs: Sequence[tuple[str, str]], number: int
) -> Scored:
    """Write the predictions of a shard, unless they are there, and say what they come to.

    Args:
        fingerprint: of the dataset.
        pairs: URLs of shards, each with that of its predictions.
        number: of the pair to work on.
    """
    source, target = pairs[number]
    rows = storage.read_table(source, [schema.KEY, schema.LABEL, schema.IMAGE])
    pixels = columns.pixels(rows[schema.IMAGE], work.shape)
    if storage.exists(target):
        made = storage.read_table(target)
    else:
        probabilities = predict.probabilities(work, pixels)
        named = (rows[schema.KEY], rows[schema.LABEL])
        made = scored.table(work, *named, probabilities, fingerprint)
        storage.write_table(target, made)
    return scored.of(work, made, pixels=pixels)


def probabilities_of(
    work: Work, sources: Sequence[str], number: int
) -> tuple[npt.NDArray[np.int32], Probabilities]:
    """Label ids (rows,) and probabilities (rows, classes) of the shard at `sources[number]`."""
    rows = storage.read_table(sources[number], [schema.LABEL_ID, schema.IMAGE])
    images = columns.pixels(rows[schema.IMAGE], work.shape)
    return columns.numbers(rows[schema.LABEL_ID]), predict.probabilities(work, images)
