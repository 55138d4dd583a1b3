"""The reduced decode of JPEG: where it is used, and that it gives the pixels of a full decode."""

from __future__ import annotations

import io
import random

import numpy as np
import pytest
from PIL import Image, ImageOps

from halftone.config import PixelSpec
from halftone.images import decode
from halftone.images.fitting import place
from halftone.images.jpeg_scale import choose_scale
from large_pictures import MAX_SIDE_PX, drawing, texture

MAX_MEAN_DIFFERENCE = 2.5  # grey levels; halftone.images.jpeg_scale promises it


def encoded(stored: np.ndarray, orientation: int, subsampling: int) -> tuple[bytes, bytes]:
    """A JPEG, and a PNG of the upright pixels that Pillow decodes from it at full size."""
    exif = Image.Exif()
    exif[0x0112] = orientation
    jpeg, png = io.BytesIO(), io.BytesIO()
    Image.fromarray(stored).save(jpeg, "JPEG", quality=90, subsampling=subsampling, exif=exif)
    ImageOps.exif_transpose(Image.open(jpeg)).save(png, "PNG", compress_level=0)
    return jpeg.getvalue(), png.getvalue()


def test_any_size_gives_the_pixels_of_the_same_picture_as_png() -> None:
    rng, choice = np.random.default_rng(7), random.Random(7)
    pictures = [drawing(rng), texture(rng)]
    num_reduced = 0
    for case in range(200):
        max_side_px = (40, 300, 600, MAX_SIDE_PX, 600)[case % 5]
        height_px, width_px = choice.randint(1, max_side_px), choice.randint(1, max_side_px)
        if case % 6 == 0:  # whole blocks
            height_px, width_px = height_px // 64 * 64 or 64, width_px // 64 * 64 or 64
        stored = np.ascontiguousarray(pictures[case % 2][:height_px, :width_px])
        orientation = choice.randint(1, 8)
        jpeg, png = encoded(stored, orientation, choice.choice([0, 2]))
        target = choice.choice([(16, 16), (32, 48), (choice.randint(1, 99), choice.randint(1, 99))])
        for fit in ("stretch", "crop", "pad"):
            spec = PixelSpec(
                height_px=target[0], width_px=target[1], channels=3, fit=fit, background=255
            )
            got, expected = decode(jpeg, spec), decode(png, spec)
            assert got[1:3] == expected[1:3]
            difference = np.abs(got.pixels.astype(int) - expected.pixels).mean()
            where = f"{height_px} x {width_px} to {target}, {fit}, orientation {orientation}"
            assert difference <= MAX_MEAN_DIFFERENCE, f"{where}: {difference:.2f}"
            num_reduced += choose_scale(*got[1:3], place(*got[1:3], spec)) < 8
    assert num_reduced > 100


@pytest.mark.parametrize("orientation", range(1, 9))
@pytest.mark.parametrize("size", [(199, 1599), (1601, 203), (1024, 700), (37, 999)])
def test_margins_lie_at_the_same_rows_as_for_png(size: tuple[int, int], orientation: int) -> None:
    jpeg, png = encoded(np.zeros((*size, 3), np.uint8), orientation, 0)
    for target in ((16, 16), (21, 40), (64, 9)):
        spec = PixelSpec(
            height_px=target[0], width_px=target[1], channels=1, fit="pad", background=255
        )
        assert np.array_equal(decode(jpeg, spec).pixels, decode(png, spec).pixels)


@pytest.mark.parametrize(
    ("size", "target", "fit", "expected"),
    [
        ((1024, 1024), (64, 64), "stretch", 1),  # each pixel averages 2 x 2 whole blocks
        ((1024, 1024), (128, 128), "stretch", 1),  # one block
        ((1024, 1024), (100, 100), "stretch", 4),  # 5.12 reduced pixels; 2.56 of 1/4 are too few
        ((1024, 1024), (224, 224), "stretch", 4),
        ((1024, 1024), (300, 300), "stretch", 8),
        ((32, 32), (32, 32), "stretch", 8),
        ((480, 640), (64, 64), "stretch", 4),
        ((375, 500), (64, 64), "stretch", 4),
        ((3024, 4032), (224, 224), "crop", 2),
        ((3024, 4032), (64, 64), "pad", 1),
        ((4, 4), (1, 1), "stretch", 8),
    ],
)
def test_scale(size: tuple[int, int], target: tuple[int, int], fit: str, expected: int) -> None:
    spec = PixelSpec(height_px=target[0], width_px=target[1], channels=1, fit=fit)
    assert choose_scale(*size, place(*size, spec)) == expected
