"""Previews of rejected files."""

from __future__ import annotations

import io

import numpy as np
import pytest
from PIL import Image

from halftone.config import PixelSpec
from halftone.images import decode_preview
from picture_files.tiff import BLACK_IS_ZERO, LONG, Layout, tiff_of_samples

SPEC = PixelSpec(height_px=8, width_px=12, channels=3)


def encoded(name: str) -> bytes:
    buffer = io.BytesIO()
    Image.new("RGB", (120, 80), (200, 100, 50)).save(buffer, name)
    return buffer.getvalue()


@pytest.mark.parametrize("name", ["JPEG", "PNG"])
def test_the_first_part_of_a_truncated_file_is_shown(name: str) -> None:
    data = encoded(name)
    header_bytes = data.index(b"\xff\xda") if name == "JPEG" else 60
    preview = decode_preview(data[: (header_bytes + len(data)) // 2 + 8], SPEC)
    assert preview is not None
    assert preview.shape == (8, 12, 3)
    assert np.abs(preview[0, 0].astype(int) - (200, 100, 50)).max() < 4


@pytest.mark.parametrize(("compression", "is_shown"), [("raw", True), ("tiff_lzw", False)])
def test_a_damaged_tiff_prints_nothing(
    compression: str, is_shown: bool, capfd: pytest.CaptureFixture[str]
) -> None:
    """Pillow returns nothing of a TIFF that libtiff cannot decode to its end."""
    buffer = io.BytesIO()
    picture = Image.effect_noise((120, 80), 9).convert("RGB")
    picture.save(buffer, "TIFF", compression=compression, tiffinfo={278: 20})
    data = bytearray(buffer.getvalue())
    with Image.open(buffer) as image:
        last_strip_at = image.tag_v2[273][-1]  # type: ignore[attr-defined]
    data[last_strip_at : last_strip_at + 200] = b"\xff" * 200
    assert (decode_preview(bytes(data), SPEC) is not None) == is_shown
    assert capfd.readouterr() == ("", "")


def test_a_tiff_of_huge_tiles_has_no_preview() -> None:
    samples = np.zeros((1, 1, 1), int)
    tiles = {"t322": (LONG, [60000]), "t323": (LONG, [60000])}
    huge = tiff_of_samples(samples, 8, BLACK_IS_ZERO, Layout(tile_px=16), **tiles)
    assert decode_preview(huge, SPEC) is None


def test_a_file_that_is_no_image_and_one_that_is_too_large_have_no_preview() -> None:
    assert decode_preview(b"text", SPEC) is None
    assert decode_preview(b"", SPEC) is None
    small = PixelSpec(height_px=8, width_px=12, channels=3, max_pixels=9599)
    assert decode_preview(encoded("PNG"), small) is None
    assert decode_preview(encoded("PNG"), SPEC) is not None
