"""Memory for pixels, used again once nobody holds any of them any more.

Fresh pages are zeroed by the system, which takes a fifth of the time of a streamed epoch.
"""

from __future__ import annotations

import weakref

import numpy as np
import numpy.typing as npt

PixelArray = npt.NDArray[np.uint8]

_ALIGNMENT_BYTES = 64
_SPARE_DIVISOR = 16  # a part of the size: the next pixels may be a few more


class BufferPool:
    """Gives out pixels whose memory comes back when they and all views of them are gone."""

    def __init__(self) -> None:
        self._free: list[PixelArray] = []

    def allocate(self, shape: tuple[int, ...]) -> PixelArray:
        """Pixels to be written; at first they hold what was left by others."""
        size = int(np.prod(shape))
        self._free[:] = [memory for memory in self._free if memory.size >= size]
        memory = (
            self._free.pop() if self._free else allocate_aligned((size + size // _SPARE_DIVISOR,))
        )
        # Views hold this array, and not what is below it, as that is no array.
        array = np.frombuffer(memory.data, np.uint8)
        weakref.finalize(array, self._free.append, memory)
        return array[:size].reshape(shape)


def allocate_aligned(shape: tuple[int, ...]) -> PixelArray:
    """Pixels to be written, at an address from which TensorFlow takes them over without a copy."""
    size = int(np.prod(shape))
    raw = np.empty(size + _ALIGNMENT_BYTES, np.uint8)
    offset = -raw.ctypes.data % _ALIGNMENT_BYTES
    return raw[offset : offset + size].reshape(shape)
