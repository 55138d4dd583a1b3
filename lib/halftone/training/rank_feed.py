"""The batches of one rank: which rows it reads in an epoch, and whether it keeps them in memory."""

from __future__ import annotations

import numpy as np
import tensorflow as tf

from halftone.config import Config
from halftone.dataset.manifest import Manifest, read_shards
from halftone.dataset.splits import TRAIN, VALIDATION
from halftone.errors import InputError
from halftone.feed import balanced_rows, epoch_plan, pipeline
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
        is_balanced = self._settings.sampling == "balanced"
        self._balanced_plan = self._balance_classes() if is_balanced else None

    def plan_train(self, epoch: int) -> EpochPlan:
        return self._balanced_plan or self._plan_all_rows(epoch)

    def _plan_all_rows(self, epoch: int) -> EpochPlan:
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
            arguments = self._dataset, self._manifest.pixels, self._world
            self._sources[split] = (
                CachedSource(*arguments, plan)
                if self._is_cached
                else StreamedSource(*arguments, plan.rank_batch_size)
            )
        return self._sources[split]

    def _balance_classes(self) -> EpochPlan:
        """Draw all classes equally often in each epoch; return the plan of all epochs.

        Raises:
            InputError: the rows are not kept in memory.
        """
        if not self._is_cached:
            raise InputError(
                "train.sampling balanced draws from rows in memory, and they take more than a "
                "quarter of it; use train.cache memory, ranks on more machines, or "
                "train.class_weights balanced with train.sampling natural"
            )
        plan, num_classes = self._plan_all_rows(1), len(self._manifest.labels)
        source = CachedSource(self._dataset, self._manifest.pixels, self._world, plan)
        row_counts = np.stack(collectives.gather(source.count_labels(num_classes)))
        draws = balanced_rows.share_draws(row_counts)
        # Horovod: the same number of steps on all ranks, though some draw more rows.
        steps = -(-int(draws.sum(axis=1).max()) // plan.rank_batch_size)
        self._sources[TRAIN] = source
        if self._world.is_first:
            print(
                f"an epoch draws {draws.sum():,} rows, {draws.sum() // num_classes:,} of each of "
                f"{num_classes} classes, in {steps:,} steps (train.sampling balanced)",
                flush=True,
            )
        return source.balance_classes(draws[self._world.rank], steps)

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
