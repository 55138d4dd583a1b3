"""TIFF: what is repaired, what is unsupported and what is damaged. `test_corpus` has the pixels."""

from __future__ import annotations

import io
from functools import partial
from typing import Optional

import numpy as np
import pytest
from PIL import Image

import rejected_images
from halftone.config import PixelSpec
from halftone.images import decode
from picture_files.tiff import (
    BLACK_IS_ZERO,
    BYTE,
    CMYK,
    DEFLATE,
    JPEG,
    LONG,
    LZW,
    PACKBITS,
    PALETTE,
    RAW,
    RGB,
    SHORT,
    WHITE_IS_ZERO,
    YCBCR,
    Layout,
    tiff_of_parts,
    tiff_of_samples,
)

Y, X = np.mgrid[:6, :5]
SPEC = PixelSpec(height_px=6, width_px=5, channels=1)
GREY = (40 * Y + 7 * X).astype(np.uint8)[..., None]  # (6, 5, 1)
COLOURS = np.dstack([GREY, 255 - GREY, GREY // 2])


def pixels(data: bytes) -> np.ndarray:
    return decode(data, SPEC).pixels


rejection = partial(rejected_images.rejection, spec=SPEC)


@pytest.mark.parametrize("compression", [RAW, LZW, DEFLATE, PACKBITS])
@pytest.mark.parametrize("strip_rows", [None, 2, 4])
def test_strip_sizes_that_are_missing_or_0_follow_from_the_offsets(
    compression: int, strip_rows: Optional[int]
) -> None:
    layout = Layout(compression=compression, strip_rows=strip_rows)
    num_strips = {None: 1, 2: 3, 4: 2}[strip_rows]
    for sizes in (None, (LONG, [0] * num_strips)):
        data = tiff_of_samples(GREY, 8, BLACK_IS_ZERO, layout, t279=sizes)
        assert np.array_equal(pixels(data), GREY)


def test_tags_that_have_a_default_may_be_missing() -> None:
    data = tiff_of_samples(GREY, 8, BLACK_IS_ZERO, Layout(), t259=None, t277=None, t284=None)
    assert np.array_equal(pixels(data), GREY)


@pytest.mark.parametrize("order", ["<", ">"])
@pytest.mark.parametrize("kind", [BYTE, SHORT, LONG])
def test_an_orientation_of_any_integer_type_is_applied(kind: int, order: str) -> None:
    data = tiff_of_samples(GREY, 8, BLACK_IS_ZERO, Layout(byte_order=order), t274=(kind, [3]))
    assert np.array_equal(pixels(data), GREY[::-1, ::-1])


def test_a_palette_of_values_up_to_255_has_8_bits() -> None:
    palette = (SHORT, [0, 10, 20, 30] * 3)
    indices = np.array([[[0], [1], [2], [3]]])
    spec = PixelSpec(height_px=1, width_px=4, channels=1)
    data = tiff_of_samples(indices, 2, PALETTE, Layout(), t320=palette)
    assert decode(data, spec).pixels.ravel().tolist() == [0, 10, 20, 30]
    deep = (SHORT, [0, 10, 20, 256] * 3)  # one value above 255: all have 16 bits
    data = tiff_of_samples(indices, 2, PALETTE, Layout(), t320=deep)
    assert decode(data, spec).pixels.ravel().tolist() == [0, 0, 0, 1]


def of_compression(number: int) -> bytes:
    return tiff_of_samples(GREY, 8, BLACK_IS_ZERO, Layout(compression=number))


def of_photometric(number: int) -> bytes:
    return tiff_of_samples(COLOURS, 8, number, Layout())


FIVE_BANDS = np.repeat(GREY, 5, axis=2)
UNSUPPORTED: dict[str, tuple[bytes, str]] = {
    "zstd": (of_compression(50000), "TIFF of compression 50000 (Zstandard)"),
    "webp": (of_compression(50001), "TIFF of compression 50001 (WebP)"),
    "lzma": (of_compression(34925), "TIFF of compression 34925 (LZMA)"),
    "fax g3": (of_compression(3), "TIFF of compression 3 (CCITT fax G3)"),
    "fax g4": (of_compression(4), "TIFF of compression 4 (CCITT fax G4)"),
    "old jpeg": (of_compression(6), "TIFF of compression 6 (old JPEG)"),
    "no such compression": (of_compression(999), "TIFF of compression 999 (unknown)"),
    "lab": (of_photometric(8), "TIFF of photometric 8 (CIE L*a*b*)"),
    "camera raw": (of_photometric(32803), "TIFF of photometric 32803 (colour filter array)"),
    "float": (
        tiff_of_samples(GREY, 32, BLACK_IS_ZERO, Layout(), t339=(SHORT, [3])),
        "TIFF of samples of (32,) bits, format (3,)",
    ),
    "signed": (
        tiff_of_samples(GREY, 8, BLACK_IS_ZERO, Layout(), t339=(SHORT, [2])),
        "TIFF of samples of (8,) bits, format (2,)",
    ),
    "32 bits": (
        tiff_of_samples(GREY, 32, BLACK_IS_ZERO, Layout()),
        "TIFF of samples of (32,) bits, format (1,)",
    ),
    "different bits": (
        tiff_of_samples(COLOURS, 8, RGB, Layout(), t258=(SHORT, [5, 6, 5])),
        "TIFF of samples of (5, 6, 5) bits, format (1,)",
    ),
    "five bands": (
        tiff_of_samples(FIVE_BANDS, 8, BLACK_IS_ZERO, Layout(), t338=(SHORT, [0, 0, 0, 0])),
        "TIFF of BLACK_IS_ZERO, 5 samples, ExtraSamples (0, 0, 0, 0)",
    ),
    "five samples without a meaning": (
        tiff_of_samples(FIVE_BANDS, 8, RGB, Layout()),
        "TIFF of RGB, 5 samples, ExtraSamples ()",
    ),
    "alpha after another sample": (
        tiff_of_samples(FIVE_BANDS, 8, RGB, Layout(), t338=(SHORT, [0, 2])),
        "TIFF of RGB, 5 samples, ExtraSamples (0, 2)",
    ),
    "premultiplied inks": (
        tiff_of_samples(FIVE_BANDS, 8, CMYK, Layout(), t338=(SHORT, [1])),
        "TIFF of CMYK, 5 samples, ExtraSamples (1,)",
    ),
    "other inks": (
        tiff_of_samples(FIVE_BANDS[..., :4], 8, CMYK, Layout(), t332=(SHORT, [2])),
        "TIFF of inks other than CMYK",
    ),
    "float predictor": (
        tiff_of_samples(GREY, 8, BLACK_IS_ZERO, Layout(compression=DEFLATE), t317=(SHORT, [3])),
        "TIFF of predictor 3, 8 bits",
    ),
    "planar ycbcr": (
        tiff_of_samples(COLOURS, 8, YCBCR, Layout(planar=True)),
        "TIFF of YCbCr, 3 samples of 8 bits, 3 planes, chroma steps (2, 2)",
    ),
    "12 bit jpeg": (
        tiff_of_samples(GREY, 12, BLACK_IS_ZERO, Layout(compression=JPEG)),
        "TIFF of JPEG compression, 12 bits",
    ),
}


@pytest.mark.parametrize("name", sorted(UNSUPPORTED))
def test_a_variant_that_is_not_decoded_is_unsupported(name: str) -> None:
    data, detail = UNSUPPORTED[name]
    assert rejection(data) == ("unsupported", detail)


def jpeg(grey: np.ndarray) -> bytes:
    buffer = io.BytesIO()
    Image.fromarray(grey[..., 0]).save(buffer, "JPEG")
    return buffer.getvalue()


def tiff_of_jpeg(packed: bytes, height_px: int = 6) -> bytes:
    tags = {256: 5, 257: height_px, 258: 8, 259: JPEG, 262: BLACK_IS_ZERO, 277: 1}
    return tiff_of_parts([packed], {tag: (SHORT, [v]) for tag, v in tags.items()}, Layout())


WITH_PREDICTOR = Layout(compression=DEFLATE, has_predictor=True)
DAMAGED: dict[str, tuple[bytes, str, str]] = {
    "raw": (
        tiff_of_samples(GREY, 8, BLACK_IS_ZERO, Layout(), t279=(LONG, [29])),
        "truncated",
        "TIFF strip or tile of 29 bytes, its rows take 30",
    ),
    "lzw": (
        tiff_of_samples(GREY, 8, BLACK_IS_ZERO, Layout(compression=LZW), t279=(LONG, [20])),
        "damaged",
        "TIFF strip or tile: LZW does not give 30 bytes",
    ),
    "packbits": (
        tiff_of_samples(GREY, 8, BLACK_IS_ZERO, Layout(compression=PACKBITS), t279=(LONG, [20])),
        "damaged",
        "TIFF strip or tile: not enough image data",
    ),
    "deflate": (
        tiff_of_samples(GREY, 8, BLACK_IS_ZERO, WITH_PREDICTOR, t279=(LONG, [9])),
        "damaged",
        "TIFF strip or tile inflates to 10 bytes of 30",
    ),
    "too few strips": (
        tiff_of_samples(GREY, 8, BLACK_IS_ZERO, Layout(strip_rows=3), t278=(LONG, [2])),
        "damaged",
        "TIFF of 3 strips or tiles has 2, 2 sizes",
    ),
    "strips and tiles": (
        tiff_of_samples(GREY, 8, BLACK_IS_ZERO, Layout(), t322=(LONG, [16])),
        "damaged",
        "TIFF of strips with tags of tiles, or the reverse",
    ),
    "photometric": (
        tiff_of_samples(GREY, 8, BLACK_IS_ZERO, Layout(), t262=None),
        "damaged",
        "TIFF directory lacks PHOTOMETRIC",
    ),
    "two widths": (
        tiff_of_samples(GREY, 8, BLACK_IS_ZERO, Layout(), t256=(SHORT, [5, 5])),
        "damaged",
        "TIFF tag WIDTH of 2 values",
    ),
    "bits": (
        tiff_of_samples(COLOURS, 8, RGB, Layout(), t258=None),
        "damaged",
        "TIFF of 3 samples with bits for 1",
    ),
    "palette": (
        tiff_of_samples(GREY, 8, PALETTE, Layout(), t320=(SHORT, [0] * 767)),
        "damaged",
        "TIFF palette of 767 values, 8 bits need 768",
    ),
    "jpeg cut": (
        tiff_of_jpeg(jpeg(GREY)[:-3]),
        "truncated",
        "TIFF strip or tile: Premature end of JPEG file",
    ),
    "jpeg of another size": (
        tiff_of_jpeg(jpeg(GREY), height_px=7),
        "damaged",
        "TIFF part of 5 x 6 px, its tags require 5 x 7",
    ),
    "jpeg tables": (
        tiff_of_parts(
            [jpeg(GREY)],
            {
                **{256: (SHORT, [5]), 257: (SHORT, [6]), 258: (SHORT, [8]), 259: (SHORT, [JPEG])},
                **{262: (SHORT, [1]), 277: (SHORT, [1]), 347: (BYTE, list(b"\xff\xd8\xff"))},
            },
            Layout(),
        ),
        "damaged",
        "TIFF of JPEG tables of 3 bytes",
    ),
}


@pytest.mark.parametrize("name", sorted(DAMAGED))
def test_damage_has_its_reason_and_numbers(name: str) -> None:
    data, reason, detail = DAMAGED[name]
    assert rejection(data) == (reason, detail)


@pytest.mark.parametrize("compression", [RAW, LZW, DEFLATE, PACKBITS])
@pytest.mark.parametrize("photometric", [WHITE_IS_ZERO, YCBCR])
def test_no_cut_strip_is_accepted(compression: int, photometric: int) -> None:
    samples = COLOURS if photometric == YCBCR else GREY
    layout = Layout(compression=compression, byte_order=">")
    tags = {"t530": (SHORT, [1, 1])} if photometric == YCBCR else {}
    whole = tiff_of_samples(samples, 8, photometric, layout, **tags)
    pixels(whole)
    end_bytes = {RAW: 0, LZW: 2, DEFLATE: 7, PACKBITS: 0}[compression]  # hold no pixels
    for cut in range(end_bytes + 1, 12):
        sizes = (LONG, [_strip_bytes(whole) - cut])
        data = tiff_of_samples(samples, 8, photometric, layout, **tags, t279=sizes)
        assert rejection(data)[0] in ("truncated", "damaged"), cut


def _strip_bytes(data: bytes) -> int:
    return int(Image.open(io.BytesIO(data)).tag_v2[279][0])  # type: ignore[attr-defined]
