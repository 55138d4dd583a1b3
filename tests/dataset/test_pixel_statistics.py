from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays

from halftone.dataset import pixel_statistics


def test_sums_are_by_channel() -> None:
    # Two images of two pixels of three channels.
    rows = np.array([[1, 2, 255, 3, 0, 255], [5, 0, 255, 0, 4, 255]], np.uint8)
    assert pixel_statistics.channel_sums(rows, 3) == ((9, 6, 1020), (35, 20, 260100))
    assert pixel_statistics.channel_sums(rows, 1) == ((1035,), (260155,))


@pytest.mark.parametrize("shape", [(1, 3 * 2**20), (300_000, 3), (70_000, 1), (2_000, 3072)])
def test_sums_of_the_largest_values_are_exact(shape: tuple[int, int]) -> None:
    count = shape[0] * shape[1]
    assert pixel_statistics.channel_sums(np.full(shape, 255, np.uint8), 1) == (
        (255 * count,),
        (65_025 * count,),
    )


IMAGES = arrays.arrays(
    np.uint8,
    st.tuples(st.integers(1, 20), st.integers(1, 4), st.integers(1, 4), st.sampled_from([1, 3])),
)


@given(IMAGES, st.lists(st.integers(0, 20), max_size=5))
def test_sums_of_any_shards_give_the_mean_and_deviation_of_numpy(
    images: np.ndarray, cuts: list[int]
) -> None:
    channels = images.shape[-1]
    rows = images.reshape(len(images), -1)
    shards = [
        pixel_statistics.channel_sums(part, channels) for part in np.split(rows, sorted(cuts))
    ]
    pixels = images.reshape(-1, channels)
    statistics = pixel_statistics.statistics_from_sums(len(pixels), shards)
    np.testing.assert_allclose(statistics.mean, pixels.mean(axis=0), rtol=1e-12)
    deviation = pixels.std(axis=0)
    constant = (pixels == pixels[0]).all(axis=0)
    expected = np.where(constant, 1, deviation)
    np.testing.assert_allclose(statistics.deviation, expected, rtol=1e-9)


def test_a_channel_of_one_grey_level_has_deviation_1() -> None:
    # The pixels are 7 and 7 in the first channel, 0 and 4 in the second.
    statistics = pixel_statistics.statistics_from_sums(2, [((7, 0), (49, 0)), ((7, 4), (49, 16))])
    assert statistics == ([7.0, 2.0], [1.0, 2.0])


def test_a_tiny_variance_of_very_many_pixels_is_exact() -> None:
    # 10**12 pixels of 200 but one of 201: sums in float64 would give 0 or a wrong variance.
    count = 10**12
    statistics = pixel_statistics.statistics_from_sums(
        count, [((200 * count + 1,), (40_000 * count + 401,))]
    )
    assert statistics.deviation == [pytest.approx(1e-6, rel=1e-9)]
