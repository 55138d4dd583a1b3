"""Pixels whose memory is used again."""

from __future__ import annotations

import numpy as np
import pytest

from halftone.feed.buffers import BufferPool, allocate_aligned


def address(array: np.ndarray) -> int:
    return int(array.__array_interface__["data"][0])


@pytest.mark.parametrize("shape", [(1,), (5, 3, 2, 1), (7, 33)])
def test_pixels_are_aligned_and_can_be_written(shape: tuple[int, ...]) -> None:
    for array in (allocate_aligned(shape), BufferPool().allocate(shape)):
        assert (array.shape, array.dtype) == (shape, np.uint8)
        assert address(array) % 64 == 0
        array[:] = 7
        assert (array == 7).all()


def test_memory_is_used_again_when_the_last_view_is_gone() -> None:
    buffers = BufferPool()
    pixels = buffers.allocate((8, 4))
    first = address(pixels)
    pixels[:] = 1
    view = pixels.reshape(4, 2, 4)[1:, :1]
    del pixels
    others = buffers.allocate((8, 4))
    others[:] = 2
    assert address(others) != first
    assert (view == 1).all()
    del view
    assert address(buffers.allocate((8, 4))) == first


def test_memory_fits_pixels_that_are_a_few_more_and_is_given_up_for_many_more() -> None:
    buffers = BufferPool()
    first = address(buffers.allocate((1600,)))
    assert address(buffers.allocate((1700,))) == first  # a sixteenth more
    assert address(buffers.allocate((10,))) == first
    larger = buffers.allocate((1701,))
    assert larger.shape == (1701,)
    del larger
    assert len(buffers._free) == 1
