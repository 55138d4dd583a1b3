"""Decode JPEG XL files with libjxl, by the package pillow-jxl-plugin.

The decoder gets the codestream alone: its header (ISO/IEC 18181-1, annex A) says the size before
anything is decoded, and has the orientation, which libjxl applies. That of EXIF, and the JPEG file
that a JPEG XL file may be turned back into, have no effect.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from halftone.config import PixelSpec
from halftone.images.blending import blend_premultiplied, blend_straight
from halftone.images.decoder_packages import require_decoder
from halftone.images.iso_boxes import read_boxes
from halftone.images.jxl_header import CODESTREAM_MAGIC, read_jxl_header
from halftone.images.pillow_reader import reject_errors
from halftone.images.result import ImageRejectedError, PixelArray, check_size

CONTAINER_MAGIC = b"\0\0\0\x0cJXL \r\n\x87\n"
_LAST_PART = 0x80000000


class _Samples(NamedTuple):
    colours: int
    has_alpha: bool
    is_deep: bool  # 16 bits


_MODES = {
    "L": _Samples(1, False, False),
    "LA": _Samples(1, True, False),
    "RGB": _Samples(3, False, False),
    "RGBA": _Samples(3, True, False),
    "I;16": _Samples(1, False, True),
}


def decode_jxl(data: bytes, spec: PixelSpec) -> PixelArray:
    """Decode a still picture to (h, w, 1 or 3) uint8, upright, blended over the background.

    Raises:
        ImageRejectedError: the image cannot be used, or pillow-jxl-plugin is not there.
    """
    require_decoder("jxl")
    import pillow_jxl

    codestream = _extract_codestream(data)
    header = read_jxl_header(codestream)
    check_size(spec, header.width_px, header.height_px)
    if header.unsupported:
        raise ImageRejectedError("unsupported", f"JPEG XL with {header.unsupported}")
    with reject_errors(data, "jxl"):
        try:
            _, info, samples, _ = pillow_jxl.Decoder(num_threads=0)(codestream)
        except RuntimeError:  # its message is about how to build libjxl
            raise ImageRejectedError(
                "damaged", f"JPEG XL codestream of {len(codestream):,} bytes ends early or is wrong"
            ) from None
        if info.mode not in _MODES:
            raise ImageRejectedError("unsupported", f"JPEG XL of samples {info.mode!r}")
        layout = _MODES[info.mode]
        values: npt.NDArray[np.uint8]
        if layout.is_deep:
            values = (np.frombuffer(samples, np.uint16) >> 8).astype(np.uint8)
        else:
            values = np.frombuffer(samples, np.uint8)
        pixels = values.reshape(info.height, info.width, layout.colours + layout.has_alpha)
    if not layout.has_alpha:
        return pixels
    blend = blend_premultiplied if header.is_premultiplied else blend_straight
    return blend(pixels[..., :-1], pixels[..., -1:], spec.background)


def _extract_codestream(data: bytes) -> bytes:
    """Return the codestream, which a container may have in parts.

    Raises:
        ImageRejectedError: the container is truncated or damaged.
    """
    if data.startswith(CODESTREAM_MAGIC):
        return data
    parts: list[bytes] = []
    is_complete = False
    for box in read_boxes(data, "JPEG XL", b"ftyp"):
        if box.kind == b"jxlc":
            return data[box.start : box.end]
        if box.kind == b"jxlp" and not is_complete:
            number = int.from_bytes(data[box.start : box.start + 4], "big")
            if number & ~_LAST_PART != len(parts):
                raise ImageRejectedError(
                    "damaged", f"JPEG XL whose part {len(parts)} has the number {number}"
                )
            parts.append(data[box.start + 4 : box.end])
            is_complete = bool(number & _LAST_PART)
    if not is_complete:
        raise ImageRejectedError(
            "truncated", f"JPEG XL without the end of its codestream, {len(data):,} bytes"
        )
    return b"".join(parts)
