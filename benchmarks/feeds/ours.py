"""Halftone's own feed, as its training uses it."""

from __future__ import annotations

from feeds.rows import BATCH, SEED, Pass, Task
from feeds.taken import taken
from halftone.feed import epoch_plan
from halftone.feed.epoch_plan import EpochPlan
from halftone.feed.pipeline import BatchSource, CachedSource, StreamedSource
from halftone.feed.world import World
from halftone.training import determinism


def plan(task: Task, number: int) -> EpochPlan:
    return epoch_plan.plan_epoch(task.shards(), 1, BATCH, SEED, number)


def streamed(task: Task) -> Pass:
    """`train.cache: none`."""
    source = streamed_source(task)
    return lambda number: _delivered(source, plan(task, number), number)


def kept(task: Task) -> Pass:
    """`train.cache: memory`."""
    source, only = kept_source(task), plan(task, 1)
    return lambda number: _delivered(source, only, number)


def streamed_source(task: Task) -> BatchSource:
    determinism.configure_process(World(), SEED, "float32")
    return StreamedSource(task.dataset, task.shape(), World(), BATCH)


def kept_source(task: Task) -> BatchSource:
    determinism.configure_process(World(), SEED, "float32")
    return CachedSource(task.dataset, task.shape(), World(), plan(task, 1))


def _delivered(source: BatchSource, epoch: EpochPlan, number: int) -> int:
    rows = taken(source.epoch_dataset(epoch, f"{SEED}:{number}:0"))
    fill = epoch.steps * BATCH - epoch.count_rows(0)  # rows of weight 0 in the last batch
    return rows - fill
