"""Previews of rejected files."""

from __future__ import annotations

import io

import numpy as np
import pytest
from PIL import Image

from halftone.config import PixelSpec
from halftone.images import decode_preview

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


def test_a_file_that_is_no_image_and_one_that_is_too_large_have_no_preview() -> None:
    assert decode_preview(b"text", SPEC) is None
    assert decode_preview(b"", SPEC) is None
    small = PixelSpec(height_px=8, width_px=12, channels=3, max_pixels=9599)
    assert decode_preview(encoded("PNG"), small) is None
    assert decode_preview(encoded("PNG"), SPEC) is not None
