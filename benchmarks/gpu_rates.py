"""The feeds that a measured training takes turns with, and the figures from its history."""

from __future__ import annotations

import random
import statistics
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

FEEDS = {
    "streamed": "train.cache none: rows are read and decoded again in each epoch",
    "kept": "train.cache memory: a rank's rows in its memory, shuffled by Halftone",
    "tensors": "the same rows as tensors in memory: from_tensor_slices, shuffle, batch, prefetch",
    "one batch": "the same batch at every step: nothing is read, shuffled or gathered",
}
LIMIT = "one batch"


class Rates(NamedTuple):
    """What the rounds of one training say."""

    images_per_sec: Mapping[str, float]  # by feed: median over the rounds
    waiting: Mapping[str, float]  # by feed but LIMIT: share of a step that waits for the feed


def feed_order(rounds: int) -> list[str]:
    """Return the feed of each epoch: all of them once to warm up, then all in each round.

    The order within a round is shuffled, equally on all ranks.
    """
    order = list(FEEDS)
    for turn in range(rounds):
        order += random.Random(f"round {turn}").sample(list(FEEDS), len(FEEDS))
    return order


def measure_rates(epochs: Sequence[Mapping[str, Any]], rounds: int) -> Rates:
    """Return the rates of a training whose epochs had the feeds of `feed_order(rounds)`.

    A step waits for its feed as long as it takes longer than a step of the same round that gets
    one batch again and again: 1 - secs(one batch) / secs(feed). The copy of a batch to the card is
    in both. A share slightly below 0 is noise.

    Args:
        epochs: the entries of history.json.

    Raises:
        ValueError: the history has another number of epochs.
    """
    order = feed_order(rounds)
    if len(epochs) != len(order):
        raise ValueError(f"history.json has {len(epochs)} epochs instead of {len(order)}")
    by_round = []
    for start in range(len(FEEDS), len(order), len(FEEDS)):
        stop = start + len(FEEDS)
        by_round.append(dict(zip(order[start:stop], epochs[start:stop])))
    return Rates(
        {
            feed: statistics.median(entries[feed]["images_per_sec"] for entries in by_round)
            for feed in FEEDS
        },
        {
            feed: statistics.median(
                1 - entries[LIMIT]["secs"] / entries[feed]["secs"] for entries in by_round
            )
            for feed in FEEDS
            if feed != LIMIT
        },
    )
