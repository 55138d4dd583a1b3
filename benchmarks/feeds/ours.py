"""Halftone's feed, as its training uses it."""

from __future__ import annotations

from feeds.consume import consume
from feeds.rows import BATCH, SEED, Pass, Task
from halftone.feed import epoch_plan
from halftone.feed.epoch_plan import EpochPlan
from halftone.feed.pipeline import BatchSource, CachedSource, StreamedSource
from halftone.feed.world import World
from halftone.training import determinism


def plan_epoch(task: Task, number: int) -> EpochPlan:
    return epoch_plan.plan_epoch(task.shards(), 1, BATCH, SEED, number)


def streamed(task: Task) -> Pass:
    """The feed of `train.cache: none`."""
    source = streamed_source(task)
    return lambda number: _deliver(source, plan_epoch(task, number), number)


def cached(task: Task) -> Pass:
    """The feed of `train.cache: memory`."""
    source, plan = cached_source(task), plan_epoch(task, 1)
    return lambda number: _deliver(source, plan, number)


def streamed_source(task: Task) -> BatchSource:
    determinism.configure_process(World(), SEED, "float32")
    return StreamedSource(task.dataset, task.pixels(), World(), BATCH)


def cached_source(task: Task) -> BatchSource:
    determinism.configure_process(World(), SEED, "float32")
    return CachedSource(task.dataset, task.pixels(), World(), plan_epoch(task, 1))


def _deliver(source: BatchSource, plan: EpochPlan, number: int) -> int:
    rows = consume(source.epoch_dataset(plan, f"{SEED}:{number}:0"))
    padding = plan.steps * BATCH - plan.count_rows(0)  # rows of weight 0 in the last batch
    return rows - padding
