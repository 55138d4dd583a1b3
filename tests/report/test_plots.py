"""The learning curves, checked by their pixels; test_figures.py has the other figures."""

from __future__ import annotations

import io
from typing import Any

import numpy as np
import pytest
from PIL import Image

from halftone.metrics.epochs import best_epoch
from halftone.report import plots

TRAIN, VALIDATION = "#0072b2", "#d55e00"


def history(epochs: int, **more: float) -> list[dict[str, Any]]:
    return [
        {"epoch": number, "loss": 1 / number, "accuracy": 1 - 1 / number, **more}
        for number in range(1, epochs + 1)
    ]


def drawn(entries: list[dict[str, Any]]) -> np.ndarray:
    """The picture as (H, W, 3)."""
    return np.asarray(
        Image.open(
            io.BytesIO(plots.draw_learning_curves_png(entries, best_epoch(entries)))
        ).convert("RGB")
    )


def count(picture: np.ndarray, colour: str) -> int:
    rgb = [int(colour[start : start + 2], 16) for start in (1, 3, 5)]
    return int((picture == rgb).all(axis=2).sum())


def halves(picture: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """The two axes, without the legend below them."""
    above = picture[: int(picture.shape[0] * 0.85)]
    middle = picture.shape[1] // 2
    return above[:, :middle], above[:, middle:]


@pytest.mark.parametrize("epochs", [1, 2, 60])
def test_both_lines_are_seen_on_both_sides(epochs: int) -> None:
    picture = drawn(history(epochs, val_loss=0.7, val_accuracy=0.3))
    assert picture.shape == (432, 1104, 3)
    for half in halves(picture):
        # A point of 4 pt at 120 dots an inch has 35 pixels, some of them mixed with what is behind.
        assert count(half, TRAIN) > 15
        assert count(half, VALIDATION) > 15


def test_without_a_validation_split_there_is_one_line() -> None:
    picture = drawn(history(3))
    assert count(picture, TRAIN) > 100
    assert count(picture, VALIDATION) == 0


@pytest.mark.parametrize(
    ("val_losses", "best"), [([0.5, 0.2, 0.3], 2), ([0.1, 0.2, 0.3], 1), ([], 3)]
)
def test_the_best_epoch_is_marked(val_losses: list[float], best: int) -> None:
    entries = history(3)
    for entry, val_loss in zip(entries, val_losses):
        entry["val_loss"] = val_loss
    loss_axes, _ = halves(drawn(entries))
    # A dotted line in ink down the whole height: the column with most dark pixels.
    dark = (loss_axes[30:-80] < 60).all(axis=2).sum(axis=0)
    place = float(np.argmax(dark))
    axis = np.flatnonzero((loss_axes[30:-80] == 213).any(axis=(0, 2)))
    shares = {1: 1 / 6, 2: 1 / 2, 3: 5 / 6}
    assert (place - axis[0]) / (loss_axes.shape[1] - axis[0]) == pytest.approx(
        shares[best], abs=0.05
    )


@pytest.mark.parametrize(
    ("label", "text"),
    [
        ("cat", "cat"),
        ("two\nlines", "two\\nlines"),
        ("\x1b[31m \ue000", "\\x1b[31m \ufffd"),
        ("a" * 28, "a" * 28),
        ("a" * 26 + " b" * 9, "a" * 26 + "…"),
    ],
)
def test_a_label_is_on_one_line_and_not_too_long(label: str, text: str) -> None:
    assert plots.printable_label(label) == text


def test_what_else_an_epoch_holds_changes_nothing() -> None:
    entries = history(2, val_loss=0.7, val_accuracy=0.3)
    more = [{**entry, "gpus": {"0": 0.5}, "learning_rate": 0.1} for entry in entries]
    assert plots.draw_learning_curves_png(entries, 1) == plots.draw_learning_curves_png(more, 1)
