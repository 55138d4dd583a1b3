"""BMP: what is unsupported and what is damaged. `test_corpus` has the pixels."""

from __future__ import annotations

import struct
from functools import partial

import numpy as np
import pytest

import rejected_images
from halftone.config import PixelSpec
from halftone.images import decode
from picture_files.bmp import BIT_FIELDS, RLE4, RLE8, bmp, bmp_of_fields, bmp_of_indices

PALETTE = np.array([[0, 0, 0], [10, 20, 30], [40, 50, 60], [250, 240, 230]])
INDICES = np.array([[0, 1, 2, 3], [3, 3, 3, 3]])
SPEC = PixelSpec(height_px=2, width_px=4, channels=3, background=77)


def pixels(data: bytes) -> np.ndarray:
    return decode(data, SPEC).pixels


rejection = partial(rejected_images.rejection, spec=SPEC)


def of_runs(runs: bytes, bits: int = 8) -> bytes:
    colours = b"".join(bytes(colour[::-1].tolist()) + b"\0" for colour in PALETTE)
    return bmp((2, 4), bits, 40, RLE8 if bits == 8 else RLE4, False, colours, runs, len(PALETTE))


def test_runs_fill_the_picture_from_below() -> None:
    data = of_runs(b"\4\3\0\0\0\4\0\1\2\3\0\1")
    assert np.array_equal(pixels(data), PALETTE[INDICES])
    nibbles = of_runs(b"\4\x33\0\0\0\4\x01\x23\0\1", bits=4)
    assert np.array_equal(pixels(nibbles), PALETTE[INDICES])


@pytest.mark.parametrize(
    ("runs", "reason", "detail"),
    [
        (b"\4\3\0\0\2\1", "truncated", "BMP runs end after 6 of 8 pixels"),
        (b"\4\3\0\0\0\4\0\1", "truncated", "BMP runs end after 6 of 8 pixels"),
        (b"\4\3\0\0\2\1\0\1", "unsupported", "BMP runs leave 2 pixels unset"),
        (b"\4\3\0\2\2\1\2\3\0\1", "damaged", "BMP run of 2 pixels at row 1, column 6"),
        (b"\5\3\0\1", "damaged", "BMP run of 5 pixels at row 0, column 0"),
        (b"\0\0\0\0\4\3\0\1", "damaged", "BMP run of 4 pixels at row 2, column 0"),
    ],
)
def test_runs_that_do_not_fill_the_picture_are_rejected(
    runs: bytes, reason: str, detail: str
) -> None:
    assert rejection(of_runs(runs)) == (reason, detail)


def test_alpha_that_is_0_everywhere_is_ignored() -> None:
    masks = (0xFF0000, 0xFF00, 0xFF, 0xFF000000)
    values = np.zeros((2, 4, 4), int)
    values[..., :3] = PALETTE[INDICES]
    assert np.array_equal(pixels(bmp_of_fields(values, masks, 32)), PALETTE[INDICES])
    values[0, 0, 3] = 255  # one pixel that can be seen: the channel is in use
    seen = pixels(bmp_of_fields(values, masks, 32))
    assert seen[0, 0].tolist() == [0, 0, 0]
    assert (seen.reshape(-1, 3)[1:] == 77).all()


def test_a_palette_may_be_shorter_or_longer_than_its_bits_allow() -> None:
    short = bmp_of_indices(INDICES, PALETTE, 8)
    unstated = short[:46] + struct.pack("<I", 0) + short[50:]
    assert np.array_equal(pixels(unstated), PALETTE[INDICES])
    long = bmp_of_indices(INDICES, np.tile(PALETTE, (75, 1)), 8)
    assert np.array_equal(pixels(long), PALETTE[INDICES])
    without_offset = short[:10] + bytes(4) + short[14:]
    assert np.array_equal(pixels(without_offset), PALETTE[INDICES])


FIELDS = bmp_of_fields(np.zeros((2, 4, 3), int), (0xFF0000, 0xFF00, 0xFF), 32)
PLAIN = bmp_of_indices(INDICES, PALETTE, 8)
REJECTED: dict[str, tuple[bytes, str, str]] = {
    "jpeg inside": (
        bmp((2, 4), 0, 40, 4, False, b"", b"\xff\xd8\xff", 0),
        "unsupported",
        "BMP of compression 4, 0 bits, header 40",
    ),
    "os/2 of huffman codes": (
        bmp_of_indices(INDICES & 1, PALETTE[:2], 1, 64)[:30]
        + struct.pack("<I", 3)
        + bmp_of_indices(INDICES & 1, PALETTE[:2], 1, 64)[34:],
        "unsupported",
        "BMP of compression 3, 1 bits, header 64",
    ),
    "runs of 4 bits in 8": (
        bmp((2, 4), 8, 40, RLE4, False, b"", b"", 0),
        "damaged",
        "BMP of run lengths 2, 8 bits",
    ),
    "index beyond the palette": (
        bmp_of_indices(INDICES, PALETTE[:3], 8),
        "damaged",
        "BMP pixel of colour 3, its palette has 3",
    ),
    "palette beyond the rows": (
        PLAIN[:46] + struct.pack("<I", 200) + PLAIN[50:],
        "damaged",
        "BMP palette of 200 colours ends at 854 of 70",
    ),
    "overlapping fields": (
        bmp_of_fields(np.zeros((2, 4, 3), int), (0xFF00, 0xFF00, 0xFF), 32),
        "damaged",
        "BMP of bit fields 0xff00, 0xff00, 0xff, 0x0",
    ),
    "fields with a gap": (
        bmp_of_fields(np.zeros((2, 4, 3), int), (0xF50000, 0xFF00, 0xFF), 32),
        "damaged",
        "BMP of bit fields 0xf50000, 0xff00, 0xff, 0x0",
    ),
    "rows inside the header": (
        FIELDS[:10] + struct.pack("<I", 40) + FIELDS[14:],
        "damaged",
        "BMP palette of 0 colours ends at 70 of 40",
    ),
    "rows cut": (FIELDS[:-1], "truncated", "BMP rows end at 102 of 101 bytes"),
    "header cut": (FIELDS[:60], "truncated", "BMP header ends at 60 bytes"),
}


@pytest.mark.parametrize("name", sorted(REJECTED))
def test_rejected_with_reason_and_detail(name: str) -> None:
    data, reason, detail = REJECTED[name]
    assert rejection(data) == (reason, detail)


def test_fields_of_zero_are_those_of_32_bits() -> None:
    values = np.zeros((2, 4, 3), int)
    values[..., 0] = 200
    data = bmp_of_fields(values, (0xFF0000, 0xFF00, 0xFF), 32, 40, BIT_FIELDS)
    data = data[:54] + bytes(12) + data[66:]
    assert pixels(data)[0, 0].tolist() == [200, 0, 0]
