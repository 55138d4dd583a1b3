"""Pixel buffers whose memory is reused."""

from __future__ import annotations

import numpy as np
import pytest

from halftone.feed.buffers import BufferPool, allocate_aligned


def address(array: np.ndarray) -> int:
    return int(array.__array_interface__["data"][0])


@pytest.mark.parametrize("shape", [(1,), (5, 3, 2, 1), (7, 33)])
def test_arrays_are_aligned_and_writable(shape: tuple[int, ...]) -> None:
    for array in (allocate_aligned(shape), BufferPool().allocate(shape)):
        assert (array.shape, array.dtype) == (shape, np.uint8)
        assert address(array) % 64 == 0
        array[:] = 7
        assert (array == 7).all()


def test_memory_is_reused_after_the_last_view_is_deleted() -> None:
    pool = BufferPool()
    pixels = pool.allocate((8, 4))
    first = address(pixels)
    pixels[:] = 1
    view = pixels.reshape(4, 2, 4)[1:, :1]
    del pixels
    other = pool.allocate((8, 4))
    other[:] = 2
    assert address(other) != first
    assert (view == 1).all()
    del view
    assert address(pool.allocate((8, 4))) == first


def test_memory_fits_slightly_larger_arrays_and_is_freed_for_much_larger_ones() -> None:
    pool = BufferPool()
    first = address(pool.allocate((1600,)))
    assert address(pool.allocate((1700,))) == first  # a sixteenth more
    assert address(pool.allocate((10,))) == first
    larger = pool.allocate((1701,))
    assert larger.shape == (1701,)
    del larger
    assert len(pool._free) == 1
