"""A feed that takes turns, epoch by epoch, with other ways to feed the same rows."""

from __future__ import annotations

from typing import Optional

import tensorflow as tf

import gpu_rates
from halftone.config import Config
from halftone.dataset.manifest import Manifest
from halftone.dataset.splits import TRAIN
from halftone.feed.epoch_plan import EpochPlan
from halftone.feed.pipeline import BatchSource, CachedSource
from halftone.feed.world import World
from halftone.training.rank_feed import RankFeed

_SEED = 7


class AlternatingFeed(RankFeed):
    """Epoch n of the train split has the feed n of `gpu_rates.feed_order`.

    The training streams (train.cache none), and each rank has full batches only.
    """

    def __init__(
        self, config: Config, manifest: Manifest, dataset: str, world: World, rounds: int
    ) -> None:
        super().__init__(config, manifest, dataset, world)
        self._order = gpu_rates.feed_order(rounds)
        self._epoch = 1
        self._others: dict[str, BatchSource] = {}

    def plan_train(self, epoch: int) -> EpochPlan:
        self._epoch = epoch
        return super().plan_train(epoch)

    def open_source(self, split: str, plan: EpochPlan) -> BatchSource:
        feed = self._order[self._epoch - 1]
        if split != TRAIN or feed == "streamed":
            return super().open_source(split, plan)
        if not self._others:
            self._others = self._read_rows()
        return self._others[feed]

    def _read_rows(self) -> dict[str, BatchSource]:
        """Read the rows of this rank's first epoch, which all epochs of the other feeds use."""
        plan = super().plan_train(1)
        kept = CachedSource(self._dataset, self._manifest.pixels, self._world, plan)
        batches = list(kept.epoch_dataset(plan))
        with tf.device("/CPU:0"):
            columns = tuple(tf.concat(parts, axis=0) for parts in zip(*batches))
        # The shapes of a feed of Halftone, so that Keras traces its step once for all.
        rows = tf.data.Dataset.from_tensor_slices(columns).shuffle(plan.count_rows(0), _SEED)
        tensors = rows.batch(plan.rank_batch_size, drop_remainder=True)
        one_batch = tf.data.Dataset.from_tensors(batches[0]).repeat(plan.steps)
        return {
            "kept": _OnePlan(kept, plan),
            "tensors": _Batches(tensors.prefetch(tf.data.AUTOTUNE)),
            "one batch": _Batches(one_batch.prefetch(tf.data.AUTOTUNE)),
        }


class _OnePlan:
    """Serves the plan of the first epoch in all epochs."""

    read_error: Optional[Exception] = None

    def __init__(self, source: CachedSource, plan: EpochPlan) -> None:
        self._source, self._plan = source, plan

    def epoch_dataset(
        self, plan: EpochPlan, shuffle_seed: str = "", first_step: int = 0
    ) -> tf.data.Dataset:
        return self._source.epoch_dataset(self._plan, shuffle_seed, first_step)


class _Batches:
    """Serves the same dataset in all epochs."""

    read_error: Optional[Exception] = None

    def __init__(self, batches: tf.data.Dataset) -> None:
        self._batches = batches

    def epoch_dataset(
        self, plan: EpochPlan, shuffle_seed: str = "", first_step: int = 0
    ) -> tf.data.Dataset:
        return self._batches
