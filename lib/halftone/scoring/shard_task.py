"""One shard to predictions. Runs in Spark's Python workers."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from halftone import arrow, storage
from halftone.dataset import schema
from halftone.scoring import predict, predictions
from halftone.scoring.predict import Probabilities, Work
from halftone.scoring.predictions import Scored


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
    pixels = arrow.pixels(rows[schema.IMAGE], work.shape)
    if storage.exists(target):
        made = storage.read_table(target)
    else:
        probabilities = predict.probabilities(work, pixels)
        named = (rows[schema.KEY], rows[schema.LABEL])
        made = predictions.table(work, *named, probabilities, fingerprint)
        storage.write_table(target, made)
    return predictions.of(work, made, pixels=pixels)


def probabilities_of(
    work: Work, sources: Sequence[str], number: int
) -> tuple[npt.NDArray[np.int32], Probabilities]:
    """Label ids (rows,) and probabilities (rows, classes) of the shard at `sources[number]`."""
    rows = storage.read_table(sources[number], [schema.LABEL_ID, schema.IMAGE])
    images = arrow.pixels(rows[schema.IMAGE], work.shape)
    return arrow.numbers(rows[schema.LABEL_ID]), predict.probabilities(work, images)
