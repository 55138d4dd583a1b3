"""The batches of one rank: which rows it reads in an epoch, and whether it keeps them in memory."""

from __future__ import annotations

import tensorflow as tf

from halftone.config import Config
from halftone.dataset.manifest import Manifest, read_shards
from halftone.dataset.splits import TRAIN, VALIDATION
from halftone.feed import epoch_plan, pipeline
from halftone.feed.epoch_plan import EpochPlan
from halftone.feed.pipeline import BatchSource, CachedSource, StreamedSource
from halftone.feed.world import World
from halftone.training import collectives


class RankFeed:
    """Plans epochs, equally on all ranks, and opens the sources of their batches.

    All ranks create it at the same time.
    """

    def __init__(self, config: Config, manifest: Manifest, dataset: str, world: World) -> None:
        self._seed, self._settings = config.seed, config.train
        self._manifest, self._dataset, self._world = manifest, dataset, world
        splits = (TRAIN, VALIDATION)
        self._shards = {split: read_shards(dataset, manifest, split) for split in splits}
        self.rows = {split: manifest.totals(split).rows for split in splits}
        self._is_cached = self._agree_on_cache()
        self._sources: dict[str, BatchSource] = {}

    def plan_train(self, epoch: int) -> EpochPlan:
        return epoch_plan.plan_epoch(
            self._shards[TRAIN],
            self._world.size,
            self._settings.batch_size,
            self._seed,
            epoch if self._settings.shuffle and not self._is_cached else 1,
        )

    def plan_validation(self) -> EpochPlan:
        shards, settings = self._shards[VALIDATION], self._settings
        return epoch_plan.partition_shards(shards, self._world.size, settings.batch_size)

    def open_source(self, split: str, plan: EpochPlan) -> BatchSource:
        """Return the source of a split, the same one in all epochs."""
        if split not in self._sources:
            arguments = self._dataset, self._manifest.shape(), self._world
            self._sources[split] = (
                CachedSource(*arguments, plan)
                if self._is_cached
                else StreamedSource(*arguments, plan.rank_batch_size)
            )
        return self._sources[split]

    def _agree_on_cache(self) -> bool:
        """Whether all ranks keep their rows in memory; the same answer on all ranks."""
        height, width, channels = self._manifest.shape()
        rank_bytes = sum(self.rows.values()) * height * width * channels // self._world.size
        if self._settings.cache == "auto":
            fits = pipeline.fits_in_memory(rank_bytes, self._world.local_size)
            is_cached = bool(collectives.all_reduce(tf.constant(int(fits)), collectives.MIN))
        else:
            is_cached = self._settings.cache == "memory"
        if self._world.is_first:
            mode = f"kept in memory, {rank_bytes / 1e6:,.0f} MB a rank" if is_cached else "streamed"
            print(f"rows are {mode} (train.cache {self._settings.cache})", flush=True)
        return is_cached
