"""Rows are drawn so that classes are equally frequent, over all ranks and in each epoch."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from halftone.config import PixelSpec
from halftone.dataset.manifest import read_manifest, read_shards
from halftone.feed import balanced_rows, epoch_plan
from halftone.feed.pipeline import CachedSource
from halftone.feed.world import World

PIXELS = PixelSpec(height_px=16, width_px=16)


def test_each_class_has_the_same_number_of_draws() -> None:
    draws = balanced_rows.share_draws(np.array([[90, 10, 1]]))
    assert draws.tolist() == [[34, 34, 33]]


def test_ranks_draw_in_proportion_to_their_rows() -> None:
    draws = balanced_rows.share_draws(np.array([[30, 3], [30, 1], [32, 0]]))
    # 48 of each class: of the small one each row 12 times.
    assert draws.tolist() == [[16, 36], [15, 12], [17, 0]]


@pytest.mark.parametrize("seed", range(20))
def test_draws_add_up_for_any_counts(seed: int) -> None:
    rng = np.random.default_rng(seed)
    row_counts = rng.integers(0, 30, (rng.integers(1, 6), rng.integers(2, 8)))
    row_counts[0] += 1
    draws = balanced_rows.share_draws(row_counts)
    assert draws.sum() == row_counts.sum()
    assert np.ptp(draws.sum(axis=0)) <= 1
    assert (draws[row_counts == 0] == 0).all()
    exact = row_counts * draws.sum(axis=0) / row_counts.sum(axis=0)
    assert np.abs(draws - exact).max() < 1


def test_rows_of_a_class_are_drawn_equally_often() -> None:
    labels = np.array([0, 1, 0, 0, 1, 0, 0])
    order = balanced_rows.draw_rows(labels, np.array([3, 5]), np.random.default_rng(1))
    assert np.bincount(labels[order]).tolist() == [3, 5]
    times = np.bincount(order, minlength=7)
    assert sorted(times[labels == 0]) == [0, 0, 1, 1, 1]
    assert sorted(times[labels == 1]) == [2, 3]
    others = [
        balanced_rows.draw_rows(labels, np.array([3, 5]), np.random.default_rng(seed)).tolist()
        for seed in (1, 2)
    ]
    assert others[0] == order.tolist() != others[1]


def test_nothing_is_drawn_of_nothing() -> None:
    none = np.zeros(0, np.int64)
    order = balanced_rows.draw_rows(none, np.array([0, 0]), np.random.default_rng(1))
    assert order.tolist() == []


def labels_and_weights(
    source: CachedSource, plan: epoch_plan.EpochPlan, seed: str, first_step: int = 0
) -> tuple[np.ndarray, np.ndarray]:
    """Labels and weights of an epoch, (steps, batch) each."""
    batches = list(source.epoch_dataset(plan, seed, first_step).as_numpy_iterator())
    return (
        np.stack([labels[:, 0] for _, labels, _ in batches]),
        np.stack([weights for _, _, weights in batches]),
    )


@pytest.mark.parametrize("num_ranks", [1, 2, 3])
def test_sources_of_all_ranks_take_equal_steps(prepared_dataset: Path, num_ranks: int) -> None:
    dataset = str(prepared_dataset)
    shards = read_shards(dataset, read_manifest(dataset), "train")
    plan = epoch_plan.plan_epoch(shards, num_ranks, 6, seed=7, epoch=1)
    sources = [
        CachedSource(dataset, PIXELS, World(rank, num_ranks), plan) for rank in range(num_ranks)
    ]
    row_counts = np.stack([source.count_labels(2) for source in sources])
    assert row_counts.sum() == 77
    draws = balanced_rows.share_draws(row_counts)
    steps = -(-int(draws.sum(axis=1).max()) // plan.rank_batch_size)
    drawn = np.zeros(2, np.int64)
    for rank, source in enumerate(sources):
        balanced = source.balance_classes(draws[rank], steps)
        assert (balanced.steps, balanced.rank_batch_size) == (steps, 6 // num_ranks)
        labels, weights = labels_and_weights(source, balanced, f"7:1:{rank}")
        assert labels.shape == (steps, 6 // num_ranks)
        assert weights.sum() == draws[rank].sum()
        drawn += np.bincount(labels[weights > 0], minlength=2)
        # An epoch that resumes at a step goes on with the same rows.
        rest, _ = labels_and_weights(source, balanced, f"7:1:{rank}", first_step=2)
        np.testing.assert_array_equal(rest, labels[2:])
        other, _ = labels_and_weights(source, balanced, f"7:2:{rank}")
        assert (other != labels).any()
    assert drawn.tolist() == [39, 38]


def test_balanced_rows_need_a_seed(prepared_dataset: Path) -> None:
    dataset = str(prepared_dataset)
    shards = read_shards(dataset, read_manifest(dataset), "train")
    plan = epoch_plan.plan_epoch(shards, 1, 6, seed=7, epoch=1)
    source = CachedSource(dataset, PIXELS, World(0, 1), plan)
    balanced = source.balance_classes(np.array([39, 38]), 13)
    with pytest.raises(ValueError, match="need a shuffle_seed"):
        source.epoch_dataset(balanced)
