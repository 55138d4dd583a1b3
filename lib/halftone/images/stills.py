"""Decode all formats but JPEG, with one module per format; most of them decode with Pillow.

HEIC, JPEG XL and DICOM need packages of the extra `formats`, see `decoder_packages`.

OpenCV's wheels do not support GIF; its decoders ignore EXIF except in JPEG, and log to stderr. Of
an animation or a file of many pages, the first picture is decoded. 16-bit samples lose their lower
8 bits, as in libpng and OpenCV.
"""

from __future__ import annotations

from collections.abc import Callable

import cv2
import numpy as np
import numpy.typing as npt

from halftone.config import PixelSpec
from halftone.images.avif import decode_avif
from halftone.images.blending import blend_straight
from halftone.images.bmp import decode_bmp
from halftone.images.containers import check_pnm, check_webp
from halftone.images.dicom import decode_dicom
from halftone.images.gif import read_first_frame
from halftone.images.heic import decode_heic
from halftone.images.jpeg2000 import decode_jpeg2000
from halftone.images.jxl import decode_jxl
from halftone.images.orientation import UPRIGHT
from halftone.images.pillow_reader import load_pixels
from halftone.images.png import CheckedPng, read_png
from halftone.images.result import PixelArray
from halftone.images.tiff import decode_tiff

_UPRIGHT_DECODERS: dict[str, Callable[[bytes, PixelSpec], PixelArray]] = {
    "bmp": decode_bmp,
    "dicom": decode_dicom,
    "heic": decode_heic,
    "jpeg2000": decode_jpeg2000,
    "jxl": decode_jxl,
}


def decode_still(data: bytes, kind: str, spec: PixelSpec) -> tuple[PixelArray, int]:
    """Decode to pixels and an EXIF orientation that the caller must apply.

    Returns:
        (pixels, orientation): (h, w, 1 or 3) uint8, and 1..8.

    Raises:
        ImageRejectedError: the image cannot be used.
    """
    if kind == "tiff":
        return decode_tiff(data, spec)
    if kind in _UPRIGHT_DECODERS:
        return _blend(_UPRIGHT_DECODERS[kind](data, spec), spec), UPRIGHT
    if kind == "avif":
        pixels, orientation = decode_avif(data, spec)
        return _blend(pixels, spec), orientation
    if kind == "png":
        return _decode_png(data, spec)
    orientation = UPRIGHT
    if kind == "webp":
        orientation = check_webp(data, spec)
    elif kind == "gif":
        data = read_first_frame(data, spec)
    elif kind == "pnm":
        check_pnm(data, spec)
    return _blend(load_pixels(data, kind, spec), spec), orientation


def _decode_png(data: bytes, spec: PixelSpec) -> tuple[PixelArray, int]:
    png = read_png(data, spec)
    pixels = load_pixels(png.critical_data, "png", spec)
    if png.transparent_colour is not None:
        is_clear = _find_colour(pixels, png)
        pixels = np.where(is_clear[..., None], np.uint8(spec.background), pixels)
    return _blend(pixels, spec), png.orientation


def _find_colour(pixels: PixelArray, png: CheckedPng) -> npt.NDArray[np.bool_]:
    """Return (h, w): whether a pixel has the transparent colour."""
    assert png.transparent_colour is not None
    colour = np.array(png.transparent_colour)
    if png.bits < 16:
        return np.asarray((pixels == colour * 255 // ((1 << png.bits) - 1)).all(axis=2))
    # Colours that differ in their lower 8 bits only are not the same.
    deep = cv2.imdecode(np.frombuffer(png.critical_data, np.uint8), cv2.IMREAD_UNCHANGED)
    blue_first = deep.reshape(*pixels.shape)
    return np.asarray((blue_first[..., ::-1] == colour).all(axis=2))


def _blend(pixels: PixelArray, spec: PixelSpec) -> PixelArray:
    """Blend RGBA over the background; return other pixels unchanged."""
    if pixels.shape[2] != 4:
        return pixels
    return blend_straight(pixels[..., :3], pixels[..., 3:], spec.background)
