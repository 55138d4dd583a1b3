"""Choose the scale at which a JPEG is decoded: 1/8, 1/4, 1/2 or 1.

A JPEG stores blocks of 8x8 px, which libjpeg can decode to 1x1, 2x2 or 4x4 px in less time. (It can
also decode to 3x3, 5x5, 6x6 and 7x7, but no faster than to 8x8.) The smallest scale is used at
which each pixel of the result is the average of

- whole blocks, which a reduced decode gives exactly, or
- at least 3x3 pixels of a decode at 1/8 or 1/4, or 2x2 of a decode at 1/2, which keeps more detail.

Then the result differs from that of a full decode by at most 2.5 grey levels in the mean. A test
measures it on drawings and textures of random sizes. White noise may differ by 4.
"""

from __future__ import annotations

from halftone.images.fitting import Placement

FULL_SCALE = 8
MIN_REDUCED_PX = {1: 3, 2: 3, 4: 2}  # per pixel of the result in each direction, by scale


def choose_scale(height_px: int, width_px: int, placement: Placement, *, more_px: int = 0) -> int:
    """Return the scale in eighths: 1, 2, 4 or 8.

    Args:
        height_px: size of the upright source.
        width_px: likewise.
        placement: what is shown of it, and how large.
        more_px: this many more pixels of a reduced decode for each pixel of the result, in each
            direction: for a box, whose edges lie anywhere in the blocks.
    """
    if max(height_px, width_px) < FULL_SCALE:
        return FULL_SCALE  # 1/8 and 1/4 of such a picture may have the same size
    return max(
        _smallest_scale(placement.top_px, placement.height_px, placement.shown_height_px, more_px),
        _smallest_scale(placement.left_px, placement.width_px, placement.shown_width_px, more_px),
    )


def _smallest_scale(start_px: int, part_px: int, shown_px: int, more_px: int) -> int:
    if start_px % FULL_SCALE == 0 and part_px % (FULL_SCALE * shown_px) == 0:
        return 1
    for scale, min_reduced_px in MIN_REDUCED_PX.items():
        if part_px * scale >= FULL_SCALE * (min_reduced_px + more_px) * shown_px:
            return scale
    return FULL_SCALE
