"""GIF: only the first frame counts. `test_corpus` has the pixels."""

from __future__ import annotations

from functools import partial

import numpy as np
import pytest

import rejected_images
from halftone.config import PixelSpec
from halftone.images import decode
from picture_files.bits import pack_codes
from picture_files.gif import gif

PALETTE = np.array([[10, 20, 30], [40, 50, 60], [70, 80, 90], [100, 110, 120]])
INDICES = np.array([[0, 1], [2, 3]])
WHOLE = gif(INDICES, PALETTE, code_bits=2)
SPEC = PixelSpec(height_px=2, width_px=2, channels=3, background=99)


rejection = partial(rejected_images.rejection, spec=SPEC)


@pytest.mark.parametrize(
    "trailer",
    [
        b"\0;",
        b"",  # not even an end of the frame's blocks
        b"\0",
        b"\0\0\0;",
        b"\0\x2c\0\0",  # a second frame that is cut
        b"\0\x2c\0\0\0\0\2\0\2\0\0\x0d\1\1\0;",  # one of an impossible size of codes
        b"\0more text",
    ],
)
def test_nothing_behind_the_first_frame_changes_a_pixel(trailer: bytes) -> None:
    data = gif(INDICES, PALETTE, code_bits=2, trailer=trailer)
    assert np.array_equal(decode(data, SPEC).pixels, PALETTE[INDICES])


def test_empty_blocks_before_the_frame_are_skipped() -> None:
    data = WHOLE[:25] + bytes(3) + WHOLE[25:]
    assert np.array_equal(decode(data, SPEC).pixels, PALETTE[INDICES])


@pytest.mark.parametrize("size", range(26, len(WHOLE) - 3))
def test_a_first_frame_that_is_cut_is_rejected(size: int) -> None:
    assert rejection(WHOLE[:size])[0] == "truncated"


def test_a_canvas_around_the_frame_has_the_background_colour_of_the_file() -> None:
    spec = PixelSpec(height_px=3, width_px=4, channels=3, background=99)
    data = gif(INDICES, PALETTE, 2, canvas_px=(4, 3), corner_px=(1, 1))
    got = decode(data, spec).pixels
    assert np.array_equal(got[1:3, 1:3], PALETTE[INDICES])
    assert (got[0] == PALETTE[0]).all()
    clear = gif(INDICES, PALETTE, 2, canvas_px=(4, 3), corner_px=(1, 1), clear_index=3)
    assert (decode(clear, spec).pixels[0] == 99).all()


REJECTED: dict[str, tuple[bytes, str, str]] = {
    "codes of 12 bits": (
        WHOLE[:35] + b"\x0c" + WHOLE[36:],
        "damaged",
        "GIF of codes of 12 bits at 25",
    ),
    "colour 256": (
        WHOLE[:35]
        + b"\x09\5"
        + pack_codes([512, 0, 256, 1], 10, lowest_bits_first=True).ljust(5, b"\0")
        + b"\0;",
        "damaged",
        "GIF frame of 1 pixels, its header requires 4",
    ),
    "no frame": (WHOLE[:25] + b";", "damaged", "GIF without a frame"),
    "no frame and no end": (WHOLE[:25], "truncated", "GIF without a frame, 25 bytes"),
    "frame of no pixels": (
        WHOLE[:30] + b"\0\0\2\0" + WHOLE[34:],
        "damaged",
        "GIF frame of 0 x 2 px",
    ),
    "no colours": (
        WHOLE[:10] + b"\0\0\0" + WHOLE[25:],
        "unsupported",
        "GIF without a colour table",
    ),
    "a canvas without a colour": (
        gif(INDICES, PALETTE, 2, canvas_px=(4, 3), local_palette=True),
        "unsupported",
        "GIF frame of 2 x 2 px on a canvas of 4 x 3 px that has no colour",
    ),
}


@pytest.mark.parametrize("name", sorted(REJECTED))
def test_rejected_with_reason_and_detail(name: str) -> None:
    data, reason, detail = REJECTED[name]
    assert rejection(data) == (reason, detail)
