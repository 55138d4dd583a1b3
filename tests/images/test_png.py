"""PNG: data that no decoder reads, exact transparency, palettes. `test_corpus` has the pixels."""

from __future__ import annotations

import zlib
from functools import partial

import numpy as np
import pytest

import rejected_images
from halftone.config import PixelSpec
from halftone.images import decode
from picture_files.png import GREY, PALETTE, RGB, png, png_of_chunks

ROWS = np.array([[[1], [2]], [[3], [4]]])
SPEC = PixelSpec(height_px=2, width_px=2, channels=1, background=99)
HEADER = (b"IHDR", bytes((0, 0, 0, 2, 0, 0, 0, 2, 8, 0, 0, 0, 0)))
RAW = b"\0\1\2\0\3\4"
END = (b"IEND", b"")


def pixels(data: bytes) -> list[int]:
    return [int(value) for value in decode(data, SPEC).pixels.ravel()]


rejection = partial(rejected_images.rejection, spec=SPEC)


@pytest.mark.parametrize(
    "parts",
    [
        [zlib.compress(RAW)],
        [zlib.compress(RAW) + b"junk"],
        [zlib.compress(RAW), b"junk"],
        [b"", zlib.compress(RAW), b""],
        [zlib.compress(RAW + b"\0")],
        [zlib.compress(RAW + bytes(10_000_000))],
    ],
)
def test_data_after_the_last_row_changes_no_pixel(parts: list[bytes]) -> None:
    chunks = [(b"IDAT", part) for part in parts]
    assert pixels(png_of_chunks(HEADER, *chunks, END)) == [1, 2, 3, 4]


def test_pixel_data_that_ends_too_early_is_damaged() -> None:
    for packed, detail in (
        (zlib.compress(RAW[:-1]), "ends at 5 bytes"),
        (zlib.compress(RAW)[:-2], "ends not at 6 bytes"),
    ):
        data = png_of_chunks(HEADER, (b"IDAT", packed), END)
        assert rejection(data) == ("damaged", f"PNG pixel data {detail}, its header requires 6")


@pytest.mark.parametrize(("colour_type", "samples"), [(GREY, 1), (RGB, 3)])
def test_a_transparent_colour_of_16_bits_is_compared_in_all_bits(
    colour_type: int, samples: int
) -> None:
    values = np.full((2, 2, samples), 0x1234)
    values[0, 1] = 0x1235
    data = png(values, 16, colour_type, (b"tRNS", b"\x12\x34" * samples))
    assert pixels(data) == [99, 0x12, 99, 99]


@pytest.mark.parametrize("excess_bytes", [1, 100_000])
@pytest.mark.parametrize("tail", [b"", b"junk"])
def test_excess_data_of_a_transparent_png_of_16_bits_changes_and_prints_nothing(
    excess_bytes: int, tail: bytes, capfd: pytest.CaptureFixture[str]
) -> None:
    header = HEADER[1][:8] + bytes((16, GREY, 0, 0, 0))
    packed = zlib.compress(b"\0\x12\x34\x12\x35\0\x12\x34\x12\x34" + bytes(excess_bytes)) + tail
    extra = [(b"PLTE", bytes(7)), (b"tRNS", b"\x12\x34"), (b"IDAT", packed)]
    assert pixels(png_of_chunks((b"IHDR", header), *extra, END)) == [99, 0x12, 99, 99]
    assert capfd.readouterr() == ("", "")


def test_a_second_header_is_damaged() -> None:
    chunks = [HEADER, HEADER, (b"IDAT", zlib.compress(RAW)), END]
    expected = ("damaged", "PNG has a second header (IHDR), at 33")
    assert rejection(png_of_chunks(*chunks)) == expected


def test_a_palette_is_needed_and_has_whole_colours() -> None:
    assert rejection(png(ROWS, 8, PALETTE)) == ("damaged", "PNG palette of 0 bytes")
    cut = png(ROWS, 8, PALETTE, (b"PLTE", bytes(7)))
    assert rejection(cut) == ("damaged", "PNG palette of 7 bytes")


def test_apples_variant_is_unsupported() -> None:
    data = png_of_chunks((b"CgBI", bytes(4)), HEADER, (b"IDAT", zlib.compress(RAW)), END)
    assert rejection(data) == ("unsupported", "PNG in Apple's variant for iOS (CgBI)")
