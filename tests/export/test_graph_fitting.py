"""Placing and resizing in the graph, against `images.fitting`."""

from __future__ import annotations

import numpy as np
import pytest
import tensorflow as tf
from hypothesis import given, settings
from hypothesis import strategies as st

from halftone.config import PixelSpec
from halftone.export.graph_fitting import axis_weights, pad_in_graph, place_in_graph
from halftone.images.fitting import place

SIDES = st.integers(1, 5000)


@settings(max_examples=200)
@given(SIDES, SIDES, st.integers(1, 300), st.integers(1, 300), st.sampled_from(["crop", "pad"]))
def test_placement_is_that_of_images(
    height_px: int, width_px: int, target_height_px: int, target_width_px: int, fit: str
) -> None:
    spec = PixelSpec(height_px=target_height_px, width_px=target_width_px, fit=fit)
    placed = place_in_graph(tf.constant(height_px), tf.constant(width_px), spec)
    assert tuple(map(int, placed)) == tuple(place(height_px, width_px, spec))


def weights(start: float, length: float, side_px: int, output_px: int) -> np.ndarray:
    part = tf.constant(start, tf.float32), tf.constant(length, tf.float32)
    return np.asarray(axis_weights(*part, tf.constant(side_px), tf.constant(output_px)))


def test_areas_whose_edges_lie_within_pixels() -> None:
    expected = np.array([[0.5, 1, 0, 0], [0, 0, 1, 0.5]]) / 1.5
    np.testing.assert_allclose(weights(0.5, 3, 4, 2), expected, atol=1e-6)


def test_last_area_ends_with_the_part() -> None:
    # In float32, 7 * (57 / 7) is more than 57.
    assert weights(0, 57, 58, 7)[:, 57].tolist() == [0] * 7


def test_enlarging_is_linear_and_ends_with_the_part() -> None:
    expected = [[0, 1, 0, 0], [0, 0.75, 0.25, 0], [0, 0.25, 0.75, 0], [0, 0, 1, 0]]
    np.testing.assert_allclose(weights(1, 2, 4, 4), expected, atol=1e-6)


@settings(max_examples=100)
@given(st.data())
def test_weights_are_a_mean_of_the_part(data: st.DataObject) -> None:
    side_px = data.draw(st.integers(1, 300))
    start = data.draw(st.integers(0, side_px - 1))
    length = data.draw(st.integers(1, side_px - start))
    values = weights(start, length, side_px, data.draw(st.integers(1, 300)))
    np.testing.assert_allclose(values.sum(axis=1), 1, atol=1e-5)
    assert values.min() >= 0
    assert not values[:, :start].any()
    assert not values[:, start + length :].any()


@pytest.mark.parametrize(("height_px", "margins"), [(2, (1, 2)), (3, (1, 1)), (5, (0, 0))])
def test_margins(height_px: int, margins: tuple[int, int]) -> None:
    spec = PixelSpec(height_px=5, width_px=4, background=9)
    padded = pad_in_graph(tf.ones((height_px, 4, 1), tf.uint8), spec).numpy()[:, 0, 0]
    assert padded.tolist() == [9] * margins[0] + [1] * height_px + [9] * margins[1]
