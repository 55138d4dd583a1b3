from __future__ import annotations

from typing import Any

import pytest

import gpu_rates


def history(secs: list[dict[str, float]]) -> list[dict[str, Any]]:
    """Epochs of 100 images, whose seconds are those of their feed in their round."""
    order = gpu_rates.feed_order(len(secs) - 1)
    return [
        {"secs": secs[number // 4][feed], "images_per_sec": 100 / secs[number // 4][feed]}
        for number, feed in enumerate(order)
    ]


def test_each_round_has_each_feed() -> None:
    order = gpu_rates.feed_order(3)
    assert [sorted(order[start : start + 4]) for start in (0, 4, 8, 12)] == 4 * [
        ["kept", "one batch", "streamed", "tensors"]
    ]
    assert order == gpu_rates.feed_order(3)
    assert len(gpu_rates.feed_order(0)) == 4


def test_rates_are_medians_without_the_first_round() -> None:
    first = {"streamed": 100.0, "kept": 100.0, "tensors": 100.0, "one batch": 1.0}
    rounds = [
        {"streamed": 4.0, "kept": 2.0, "tensors": 5.0, "one batch": 2.0},
        {"streamed": 8.0, "kept": 2.0, "tensors": 2.0, "one batch": 2.0},
        # All of it slower: the shares within the round are the same.
        {"streamed": 20.0, "kept": 10.0, "tensors": 20.0, "one batch": 10.0},
    ]
    rates = gpu_rates.measure_rates(history([first, *rounds]), 3)
    assert rates.images_per_sec == {
        "streamed": 12.5,
        "kept": 50.0,
        "tensors": 20.0,
        "one batch": 50.0,
    }
    assert rates.waiting == {"streamed": 0.5, "kept": 0.0, "tensors": 0.5}


def test_a_history_of_another_length_is_refused() -> None:
    epochs = history([dict.fromkeys(gpu_rates.FEEDS, 1.0)] * 2)
    with pytest.raises(ValueError, match=r"has 7 epochs instead of 8"):
        gpu_rates.measure_rates(epochs[:-1], 1)
