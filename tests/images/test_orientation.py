"""The EXIF orientation: every type of its value, every place, and two blocks."""

from __future__ import annotations

import io
import struct
import zlib

import cv2
import numpy as np
import pytest
from PIL import Image, ImageOps

from halftone.config import PixelSpec
from halftone.images import decode
from halftone.images.orientation import read_orientation
from picture_files.exif import BYTE, LONG, SHORT, SIGNED_SHORT, exif_segment, exif_tiff

SPEC = PixelSpec(height_px=32, width_px=48, channels=3)
UPRIGHT = np.repeat(
    np.repeat(np.uint8([[[250, 9, 9], [9, 250, 9], [9, 9, 250]], [[9, 9, 9]] * 3]), 16, 0), 16, 1
)
SIDEWAYS = np.ascontiguousarray(np.rot90(UPRIGHT))  # upright again by orientation 6


def png_chunk(kind: bytes, body: bytes) -> bytes:
    return struct.pack(">I", len(body)) + kind + body + struct.pack(">I", zlib.crc32(kind + body))


def encoded(pixels: np.ndarray, name: str) -> bytes:
    buffer = io.BytesIO()
    options = {"JPEG": {"quality": 95, "subsampling": 0}, "WEBP": {"lossless": True}}
    Image.fromarray(pixels).save(buffer, name, **options.get(name, {}))
    return buffer.getvalue()


def with_exif(pixels: np.ndarray, name: str, *blocks: bytes) -> bytes:
    """The picture as a file that holds these EXIF blocks, in this order."""
    data = encoded(pixels, name)
    if name == "JPEG":
        return data[:2] + b"".join(map(exif_segment, blocks)) + data[2:]
    if name == "PNG":
        return data[:33] + b"".join(png_chunk(b"eXIf", block) for block in blocks) + data[33:]
    body = b"VP8X" + struct.pack("<II", 10, 0x08)  # the flag: EXIF is present
    body += (pixels.shape[1] - 1).to_bytes(3, "little") + (pixels.shape[0] - 1).to_bytes(
        3, "little"
    )
    body += data[12:]
    for block in blocks:
        body += b"EXIF" + struct.pack("<I", len(block)) + block + b"\0" * (len(block) % 2)
    return b"RIFF" + struct.pack("<I", 4 + len(body)) + b"WEBP" + body


def mean_difference(data: bytes, expected: np.ndarray) -> float:
    return float(np.abs(decode(data, SPEC).pixels.astype(int) - expected).mean())


@pytest.mark.parametrize("order", ["<", ">"])
@pytest.mark.parametrize("kind", [BYTE, SHORT, LONG])
@pytest.mark.parametrize("name", ["JPEG", "PNG", "WEBP"])
def test_orientation_as_byte_short_and_long(name: str, kind: int, order: str) -> None:
    data = with_exif(SIDEWAYS, name, exif_tiff(6, kind, order))
    assert mean_difference(data, UPRIGHT) < 1
    if kind != BYTE:  # Pillow reads these two
        with Image.open(io.BytesIO(data)) as image:
            assert ImageOps.exif_transpose(image).size == (48, 32)
    if name == "JPEG" and kind == SHORT:  # OpenCV reads a JPEG's SHORT
        turned = cv2.imdecode(np.frombuffer(data, np.uint8), cv2.IMREAD_COLOR)
        assert turned.shape == (32, 48, 3)


@pytest.mark.parametrize("kind", [SHORT, LONG])
def test_orientation_of_a_tiff_as_short_and_long(kind: int) -> None:
    buffer = io.BytesIO()
    Image.fromarray(SIDEWAYS).save(buffer, "TIFF", tiffinfo={0x0112: 6})
    entry = struct.pack("<HHI", 0x0112, SHORT, 1)
    data = buffer.getvalue()
    assert data.count(entry) == 1
    data = data.replace(entry, struct.pack("<HHI", 0x0112, kind, 1))
    assert mean_difference(data, UPRIGHT) == 0


@pytest.mark.parametrize("name", ["JPEG", "PNG", "WEBP"])
def test_first_of_two_exif_blocks_counts(name: str) -> None:
    upright, turned = exif_tiff(1, SHORT), exif_tiff(6, SHORT)
    assert mean_difference(with_exif(UPRIGHT, name, upright, turned), UPRIGHT) < 1
    assert mean_difference(with_exif(SIDEWAYS, name, turned, upright), UPRIGHT) < 1
    with Image.open(io.BytesIO(with_exif(UPRIGHT, "JPEG", upright, turned))) as image:
        assert ImageOps.exif_transpose(image).size == (48, 32)


@pytest.mark.parametrize("value", [0, 9, 255])
@pytest.mark.parametrize("kind", [BYTE, SHORT, LONG])
def test_values_outside_1_to_8_leave_the_picture_as_stored(kind: int, value: int) -> None:
    assert read_orientation(exif_tiff(value, kind)) == 1


def test_other_types_and_larger_values_leave_the_picture_as_stored() -> None:
    assert read_orientation(exif_tiff(6, SIGNED_SHORT)) == 1
    assert read_orientation(exif_tiff(0x10006, LONG)) == 1
    assert read_orientation(exif_tiff(6, LONG)[:-5]) == 1
    assert read_orientation(b"") == 1
