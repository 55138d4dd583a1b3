"""Decode HEIC files with libheif and libde265, by the package pillow-heif.

libheif applies the rotations and mirrorings of the file (irot, imir) and its crop (clap), and by
the standard EXIF's orientation has no effect. Samples of more than 8 bits become 8 bits there.
"""

from __future__ import annotations

import io

from halftone.config import PixelSpec
from halftone.images.decoder_packages import require_decoder
from halftone.images.iso_boxes import check_still
from halftone.images.pillow_reader import convert_to_uint8, reject_errors
from halftone.images.result import PixelArray, check_size


def decode_heic(data: bytes, spec: PixelSpec) -> PixelArray:
    """Decode the primary picture to (h, w, 1, 3 or 4) uint8, upright.

    HEVC has no checksum, so a flipped bit in the coded pixels may change them unnoticed.

    Raises:
        ImageRejectedError: the image cannot be used, or pillow-heif is not there.
    """
    require_decoder("heic")
    import pillow_heif

    check_still(data, "HEIC")
    options = pillow_heif.options
    options.DECODE_THREADS = 1  # there is one worker process per core
    options.THUMBNAILS = options.DEPTH_IMAGES = options.AUX_IMAGES = False
    with reject_errors(data, "heic"):
        file = pillow_heif.open_heif(io.BytesIO(data), convert_hdr_to_8bit=True)
        primary = file[file.primary_index]
        check_size(spec, *primary.size)
        return convert_to_uint8(primary.to_pillow(), "heic")
