"""Decode AVIF files with Pillow (libavif and dav1d).

Pillow gives the rotation of the file (irot, imir) as an EXIF orientation, in place of EXIF's own,
which by the standard has no effect. Samples of more than 8 bits become 8 bits there.
"""

from __future__ import annotations

from halftone.config import PixelSpec
from halftone.images.decoder_packages import require_decoder
from halftone.images.iso_boxes import check_still
from halftone.images.pillow_reader import load_turned_pixels
from halftone.images.result import PixelArray


def decode_avif(data: bytes, spec: PixelSpec) -> tuple[PixelArray, int]:
    """Decode the primary picture, of an animation the first, to (h, w, 3 or 4) uint8.

    AV1 has no checksum, so a flipped bit in the coded pixels may change them unnoticed.

    Returns:
        (pixels, orientation): 1..8, which the caller must apply.

    Raises:
        ImageRejectedError: the image cannot be used, or this Pillow has no AVIF.
    """
    require_decoder("avif")
    from PIL import AvifImagePlugin

    AvifImagePlugin.DEFAULT_MAX_THREADS = 1  # there is one worker process per core
    check_still(data, "AVIF")
    return load_turned_pixels(data, "avif", spec)
