"""Every format gives the same pixels; every rejection has a reason with numbers."""

from __future__ import annotations

import io
import os
import pickle
import struct
import subprocess
import sys
import zlib
from collections.abc import Callable
from functools import partial

import cv2
import numpy as np
import pytest
from PIL import Image, ImageOps

import rejected_images
from halftone.config import ConfigError, PixelSpec, config_from_mapping
from halftone.images import DecodedImage, ImageRejectedError, decode

HEIGHT_PX, WIDTH_PX = 48, 64


def picture() -> np.ndarray:
    """(48, 64, 3) uint8 RGB in blocks of 16 px, which JPEG preserves; all rotations differ."""
    blocks = np.array(
        [
            [[250, 10, 10], [10, 250, 10], [10, 10, 250], [240, 240, 20]],
            [[20, 20, 20], [120, 60, 30], [30, 200, 200], [220, 30, 220]],
            [[90, 90, 90], [200, 200, 200], [60, 130, 70], [250, 130, 60]],
        ],
        np.uint8,
    )
    return np.repeat(np.repeat(blocks, 16, axis=0), 16, axis=1)


RGB = picture()
COLOUR = Image.fromarray(RGB)
GREY = COLOUR.convert("L")
SAME_SIZE = PixelSpec(height_px=HEIGHT_PX, width_px=WIDTH_PX, channels=3)


def encoded(image: Image.Image, format_name: str, **options: object) -> bytes:
    buffer = io.BytesIO()
    image.save(buffer, format_name, **options)
    return buffer.getvalue()


def png_of(header: bytes, raw: bytes, *chunks: tuple[bytes, bytes]) -> bytes:
    """A PNG of this IHDR and these filtered rows, with more chunks before its pixels."""
    parts = [(b"IHDR", header), *chunks, (b"IDAT", zlib.compress(raw)), (b"IEND", b"")]
    return b"\x89PNG\r\n\x1a\n" + b"".join(
        struct.pack(">I", len(body)) + kind + body + struct.pack(">I", zlib.crc32(kind + body))
        for kind, body in parts
    )


def png(bits: int, colour_type: int, samples: bytes, *chunks: tuple[bytes, bytes]) -> bytes:
    """A PNG of 4 x 1 px."""
    header = struct.pack(">IIBBBBB", 4, 1, bits, colour_type, 0, 0, 0)
    return png_of(header, b"\0" + samples, *chunks)


def pixels(data: bytes, spec: PixelSpec = SAME_SIZE) -> np.ndarray:
    return decode(data, spec).pixels


def row(data: bytes, channels: int = 1, background: int = 0) -> list[object]:
    """The 4 pixels of the first row, of a 4 x 1 image."""
    got = pixels(
        data, PixelSpec(height_px=1, width_px=4, channels=channels, background=background)
    )[0]
    return got[:, 0].tolist() if channels == 1 else got.tolist()


rejection = partial(rejected_images.rejection, spec=SAME_SIZE)


def mean_difference(first: np.ndarray, second: np.ndarray) -> float:
    return float(np.abs(first.astype(int) - second.astype(int)).mean())


# name, format, bytes, largest mean difference from the picture
FILES: list[tuple[str, str, bytes, float]] = [
    ("jpeg", "jpeg", encoded(COLOUR, "JPEG", quality=95, subsampling=0), 1.0),
    ("png", "png", encoded(COLOUR, "PNG"), 0),
    ("png alpha", "png", encoded(COLOUR.convert("RGBA"), "PNG"), 0),
    ("png palette", "png", encoded(COLOUR.quantize(16), "PNG"), 0),
    ("png opencv", "png", bytes(cv2.imencode(".png", RGB[..., ::-1])[1]), 0),
    ("webp", "webp", encoded(COLOUR, "WEBP", quality=95), 5.0),
    ("webp lossless", "webp", encoded(COLOUR, "WEBP", lossless=True), 0),
    ("bmp", "bmp", encoded(COLOUR, "BMP"), 0),
    ("bmp palette", "bmp", encoded(COLOUR.quantize(16), "BMP"), 0),
    ("tiff", "tiff", encoded(COLOUR, "TIFF"), 0),
    ("tiff lzw", "tiff", encoded(COLOUR, "TIFF", compression="tiff_lzw"), 0),
    ("tiff deflate", "tiff", encoded(COLOUR, "TIFF", compression="tiff_adobe_deflate"), 0),
    ("tiff opencv", "tiff", bytes(cv2.imencode(".tiff", RGB[..., ::-1])[1]), 0),
    ("tiff big", "tiff", encoded(COLOUR, "TIFF", big_tiff=True), 0),
    ("gif", "gif", encoded(COLOUR.quantize(16), "GIF"), 0),
    ("ppm", "pnm", encoded(COLOUR, "PPM"), 0),
]
BY_NAME = {name: data for name, _, data, _ in FILES}


@pytest.mark.parametrize(("name", "kind", "data", "bound"), FILES, ids=[f[0] for f in FILES])
def test_same_picture_from_every_container(name: str, kind: str, data: bytes, bound: float) -> None:
    decoded = decode(data, SAME_SIZE)
    assert decoded[1:] == (HEIGHT_PX, WIDTH_PX, kind)
    assert decoded.pixels.dtype == np.uint8
    assert decoded.pixels.flags.c_contiguous
    assert mean_difference(decoded.pixels, RGB) <= bound
    grey = pixels(data, PixelSpec(height_px=HEIGHT_PX, width_px=WIDTH_PX, channels=1))
    assert grey.shape == (HEIGHT_PX, WIDTH_PX, 1)
    assert mean_difference(grey[..., 0], np.asarray(GREY)) <= bound + 0.6  # other rounding of luma


def test_channels_are_red_green_blue_in_this_order() -> None:
    for name in BY_NAME:
        red, green, blue = pixels(BY_NAME[name])[8, [8, 24, 40]].astype(int)
        assert red.argmax() == 0, name
        assert green.argmax() == 1, name
        assert blue.argmax() == 2, name


def test_grey_is_itu_r_601_luma() -> None:
    data = png(8, 2, bytes((255, 0, 0, 0, 255, 0, 0, 0, 255, 200, 100, 50)))
    assert row(data) == [76, 150, 29, 124]


def test_jpeg_and_other_containers_agree_on_grey() -> None:
    spec = PixelSpec(height_px=6, width_px=8, channels=1)
    assert mean_difference(pixels(BY_NAME["jpeg"], spec), pixels(BY_NAME["png"], spec)) < 1


# The stored array for EXIF orientation n: the inverse of the rotation in a viewer.
STORED: dict[int, Callable[[np.ndarray], np.ndarray]] = {
    1: lambda a: a,
    2: np.fliplr,
    3: lambda a: np.rot90(a, 2),
    4: np.flipud,
    5: lambda a: a.transpose(1, 0, 2),
    6: lambda a: np.rot90(a, 1),
    7: lambda a: np.rot90(a, 2).transpose(1, 0, 2),
    8: lambda a: np.rot90(a, -1),
}


@pytest.mark.parametrize("orientation", range(1, 9))
@pytest.mark.parametrize("format_name", ["JPEG", "PNG", "WEBP", "TIFF"])
def test_all_orientations_look_the_same(format_name: str, orientation: int) -> None:
    stored = Image.fromarray(np.ascontiguousarray(STORED[orientation](RGB)))
    exif = Image.Exif()
    exif[0x0112] = orientation
    options = {"JPEG": {"quality": 95, "subsampling": 0}, "WEBP": {"lossless": True}}
    data = encoded(stored, format_name, exif=exif, **options.get(format_name, {}))
    for spec in (
        SAME_SIZE,
        PixelSpec(height_px=6, width_px=8, channels=3),
        PixelSpec(height_px=6, width_px=8, channels=1),
        PixelSpec(height_px=6, width_px=6, channels=3, fit="crop"),
    ):
        decoded = decode(data, spec)
        assert (decoded.source_height_px, decoded.source_width_px) == (HEIGHT_PX, WIDTH_PX)
        expected = pixels(encoded(COLOUR, "PNG"), spec)
        assert mean_difference(decoded.pixels, expected) < (1 if format_name == "JPEG" else 0.01)
    # Pillow gives the same upright picture.
    with Image.open(io.BytesIO(data)) as image:
        assert mean_difference(np.asarray(ImageOps.exif_transpose(image)), RGB) < 1


@pytest.mark.parametrize(
    ("bits", "samples", "expected"),
    [
        (1, b"\x50", [0, 255, 0, 255]),
        (2, b"\x1b", [0, 85, 170, 255]),
        (4, b"\x01\x8f", [0, 17, 136, 255]),
        (8, b"\x00\x01\x80\xff", [0, 1, 128, 255]),
        (16, b"\x00\x00\x01\xff\x80\x00\xff\xff", [0, 1, 128, 255]),
    ],
)
def test_grey_png_of_every_depth(bits: int, samples: bytes, expected: list[int]) -> None:
    assert row(png(bits, 0, samples)) == expected


@pytest.mark.parametrize(
    ("bits", "samples", "clear", "expected"),
    [
        (1, b"\x50", 1, [0, 99, 0, 99]),
        (2, b"\x1b", 2, [0, 85, 99, 255]),
        (4, b"\x01\x8f", 8, [0, 17, 99, 255]),
        (8, b"\x00\x01\x80\xff", 255, [0, 1, 128, 99]),
        (16, b"\x00\x00\x01\xff\x80\x00\xff\xff", 0x8000, [0, 1, 99, 255]),
    ],
)
def test_grey_png_with_one_clear_value(
    bits: int, samples: bytes, clear: int, expected: list[int]
) -> None:
    data = png(bits, 0, samples, (b"tRNS", clear.to_bytes(2, "big")))
    assert row(data, background=99) == expected


def test_colour_png_with_one_clear_colour() -> None:
    rgb = bytes((1, 2, 3, 1, 2, 4, 9, 9, 9, 255, 0, 0))
    data = png(8, 2, rgb, (b"tRNS", struct.pack(">HHH", 1, 2, 3)))
    assert row(data, 3, 70) == [[70, 70, 70], [1, 2, 4], [9, 9, 9], [255, 0, 0]]


def test_16_bit_colour_png_loses_its_lower_8_bits() -> None:
    values = (0x12FF, 0x3400, 0x5680) * 4
    assert row(png(16, 2, struct.pack(">12H", *values)), 3) == [[0x12, 0x34, 0x56]] * 4


def test_palette_png_with_alpha() -> None:
    palette = (b"PLTE", bytes((255, 0, 0, 0, 255, 0, 0, 0, 255)))
    alpha = (b"tRNS", bytes((0, 128)))  # the third is opaque
    data = png(2, 3, b"\x18", palette, alpha)  # entries 0, 1, 2, 0
    assert row(data, 3, 100) == [[100, 100, 100], [50, 178, 50], [0, 0, 255], [100, 100, 100]]


def test_alpha_lies_over_the_background() -> None:
    grey_alpha = png(8, 4, bytes((200, 255, 200, 0, 200, 128, 0, 255)))
    assert row(grey_alpha, background=100) == [200, 100, 150, 0]
    rgba = png(8, 6, bytes((255, 0, 0, 255, 255, 0, 0, 0, 255, 0, 0, 51, 0, 0, 0, 255)))
    assert row(rgba, 3, 255) == [[255, 0, 0], [255, 255, 255], [255, 204, 204], [0, 0, 0]]
    deep = png(16, 6, struct.pack(">16H", *(0xFFFF, 0, 0, 0xFFFF, 0, 0, 0, 0) * 2))
    assert row(deep, 3, 9) == [[255, 0, 0], [9, 9, 9]] * 2


@pytest.mark.parametrize("name", ["PNG", "WEBP", "TIFF"])
def test_alpha_of_other_containers(name: str) -> None:
    image = COLOUR.convert("RGBA")
    image.putalpha(Image.fromarray(np.repeat(np.uint8([[0, 255]]), 32, 1).repeat(48, 0)))
    options = {"lossless": True, "exact": True} if name == "WEBP" else {}
    got = pixels(
        encoded(image, name, **options),
        PixelSpec(height_px=48, width_px=64, channels=3, background=200),
    )
    assert (got[:, :32] == 200).all()
    assert np.array_equal(got[:, 32:], RGB[:, 32:])


def test_interlaced_png() -> None:
    passes = ((0, 0, 8, 8), (4, 0, 8, 8), (0, 4, 4, 8), (2, 0, 4, 4), (0, 2, 2, 4), (1, 0, 2, 2))
    raw = b"".join(
        b"\0" + line.tobytes()
        for left, top, step_x, step_y in (*passes, (0, 1, 1, 2))
        for line in RGB[top::step_y, left::step_x]
    )
    header = struct.pack(">IIBBBBB", WIDTH_PX, HEIGHT_PX, 8, 2, 0, 0, 1)
    assert np.array_equal(pixels(png_of(header, raw)), RGB)
    assert rejection(png_of(header, raw[:-1]))[0] == "damaged"


def test_16_bit_grey_tiff_and_pgm() -> None:
    deep = np.array([[0, 0x01FF, 0x8000, 0xFFFF]], np.uint16)
    assert row(bytes(cv2.imencode(".tiff", deep)[1])) == [0, 1, 128, 255]
    assert row(b"P5 4 1 65535\n" + deep.astype(">u2").tobytes()) == [0, 1, 128, 255]


def test_all_kinds_of_pnm() -> None:
    assert row(b"P1\n4 1\n0 1 1 0\n") == [255, 0, 0, 255]
    assert row(b"P2\n# text\n4 1\n15\n0 1 8 15\n") == [0, 17, 136, 255]
    assert row(b"P3\n4 1\n255\n" + b"1 2 3 " * 3 + b"4 5 6\n", 3) == [[1, 2, 3]] * 3 + [[4, 5, 6]]
    assert row(b"P4\n4 1\n\x60") == [255, 0, 0, 255]
    assert row(b"P5\n4 1\n255\n\x00\x01\x80\xff") == [0, 1, 128, 255]
    assert row(b"P6\n4 1\n255\n" + bytes(range(12)), 3)[3] == [9, 10, 11]


def test_cmyk_tiff() -> None:
    inks = np.zeros((1, 4, 4), np.uint8)
    inks[0, 1] = (255, 0, 0, 0)
    inks[0, 2] = (0, 0, 0, 255)
    data = encoded(Image.frombytes("CMYK", (4, 1), inks.tobytes()), "TIFF")
    assert row(data, 3) == [[255, 255, 255], [0, 255, 255], [0, 0, 0], [255, 255, 255]]


@pytest.mark.parametrize("name", ["GIF", "PNG", "WEBP", "TIFF"])
def test_first_picture_of_many(name: str) -> None:
    frames = [Image.new("RGB", (8, 8), colour) for colour in ("red", "lime", "blue")]
    options = {"lossless": True} if name == "WEBP" else {}
    data = encoded(frames[0], name, save_all=True, append_images=frames[1:], **options)
    assert pixels(data, PixelSpec(height_px=1, width_px=1, channels=3)).tolist() == [[[255, 0, 0]]]


def bars(height_px: int, width_px: int) -> bytes:
    """Left third 30, middle third 130, right third 230; grey PNG."""
    image = np.repeat(np.uint8([30, 130, 230]), width_px // 3)
    return bytes(cv2.imencode(".png", np.tile(image, (height_px, 1)))[1])


def test_fit_stretch_returns_the_whole_picture() -> None:
    assert pixels(bars(10, 30), PixelSpec(height_px=1, width_px=3, channels=1))[
        0, :, 0
    ].tolist() == [30, 130, 230]
    assert pixels(bars(10, 30), PixelSpec(height_px=6, width_px=3, channels=1))[
        5, :, 0
    ].tolist() == [30, 130, 230]


def test_fit_crop_returns_the_centre() -> None:
    assert (
        pixels(bars(10, 30), PixelSpec(height_px=5, width_px=5, channels=1, fit="crop")) == 130
    ).all()
    assert (
        pixels(bars(40, 120), PixelSpec(height_px=64, width_px=64, channels=1, fit="crop")) == 130
    ).all()
    wide = pixels(bars(30, 30), PixelSpec(height_px=1, width_px=3, channels=1, fit="crop"))
    assert wide[0, :, 0].tolist() == [30, 130, 230]


def test_fit_pad_returns_the_whole_picture_with_margins() -> None:
    got = pixels(
        bars(10, 30), PixelSpec(height_px=6, width_px=6, channels=1, fit="pad", background=7)
    )[..., 0]
    assert got[:, 0].tolist() == [7, 7, 30, 30, 7, 7]
    assert got[2].tolist() == [30, 30, 130, 130, 230, 230]
    tall = pixels(
        bars(60, 30), PixelSpec(height_px=6, width_px=6, channels=1, fit="pad", background=7)
    )[..., 0]
    assert tall[0].tolist() == [7, 30, 130, 230, 7, 7]


@pytest.mark.parametrize("fit", ["stretch", "crop", "pad"])
@pytest.mark.parametrize("size", [(1, 1), (1, 500), (500, 1), (7, 3), (64, 64), (1000, 3)])
def test_any_shape_into_any_shape(fit: str, size: tuple[int, int]) -> None:
    image = Image.new("RGB", size[::-1], (120, 120, 120))
    for format_name in ("PNG", "JPEG"):
        data = encoded(image, format_name)
        for height_px, width_px in ((1, 1), (64, 64), (5, 300), (300, 5)):
            spec = PixelSpec(
                height_px=height_px, width_px=width_px, channels=3, fit=fit, background=120
            )
            got = decode(data, spec)
            assert got.pixels.shape == (height_px, width_px, 3)
            assert (got.source_height_px, got.source_width_px) == size
            assert mean_difference(got.pixels, np.full_like(got.pixels, 120)) <= 1


def test_shrinking_averages_and_enlarging_stays_within_the_range() -> None:
    board = np.indices((64, 64)).sum(axis=0) % 2 * 255
    data = bytes(cv2.imencode(".png", board.astype(np.uint8))[1])
    assert (
        np.abs(
            pixels(data, PixelSpec(height_px=8, width_px=8, channels=1)).astype(int) - 127.5
        ).max()
        <= 1
    )
    # If one side shrinks and the other grows, the pixels are averaged along the one that shrinks.
    assert (
        np.abs(
            pixels(data, PixelSpec(height_px=8, width_px=128, channels=1)).astype(int) - 127.5
        ).max()
        <= 1
    )
    edge = bytes(cv2.imencode(".png", np.uint8([[50, 200]]))[1])
    large = pixels(edge, PixelSpec(height_px=1, width_px=20, channels=1))[0, :, 0].tolist()
    assert large == sorted(large)
    assert (large[0], large[-1]) == (50, 200)


PNG, BMP, GIF = BY_NAME["png"], BY_NAME["bmp"], BY_NAME["gif"]
WEBP, TIFF, PPM = BY_NAME["webp"], BY_NAME["tiff"], BY_NAME["ppm"]
IDAT_AT = PNG.index(b"IDAT") - 4


def png_with_size(width_px: int, height_px: int) -> bytes:
    header = b"IHDR" + struct.pack(">II", width_px, height_px) + PNG[24:29]
    return PNG[:12] + header + struct.pack(">I", zlib.crc32(header)) + PNG[33:]


REJECTED: dict[str, tuple[bytes, str, str]] = {
    "empty": (b"", "empty", "0 bytes"),
    "text": (b"hello world", "not_an_image", "11 bytes that start with 68 65 6c 6c 6f 20 77 6f"),
    "heic": (
        b"\0\0\0\x18ftypheic" + bytes(50),
        "truncated",
        "HEIC without a box meta, 62 bytes",
    ),
    "video": (
        b"\0\0\0\x18ftypisom" + bytes(50),
        "unsupported",
        "ISO media of brand 'isom' is not decoded",
    ),
    "jpeg 2000": (
        b"\0\0\0\x0cjP  \r\n\x87\n",
        "truncated",
        "JPEG 2000 without a box jp2c, 12 bytes",
    ),
    "jpeg xl": (b"\xff\x0a" + bytes(2), "truncated", "JPEG XL that ends in its header"),
    "psd": (b"8BPS\0\1", "unsupported", "Photoshop is not decoded"),
    "svg": (b"<?xml version='1.0'?><svg/>", "unsupported", "SVG is not decoded"),
    "png cut": (PNG[:-5], "truncated", f"PNG chunk ends at {len(PNG):,} of {len(PNG) - 5:,} bytes"),
    "png without an end": (
        PNG[:-12],
        "truncated",
        f"PNG chunk ends at {len(PNG):,} of {len(PNG) - 12:,} bytes",
    ),
    "png checksum": (
        PNG[: IDAT_AT + 20] + bytes((PNG[IDAT_AT + 20] ^ 1,)) + PNG[IDAT_AT + 21 :],
        "damaged",
        f"PNG chunk IDAT at {IDAT_AT}: wrong checksum",
    ),
    "png too short a stream": (
        png_with_size(64, 50),
        "damaged",
        "PNG pixel data ends at 9,264 bytes, its header requires 9,650",
    ),
    "png bomb": (
        png_with_size(60_000, 60_000),
        "too_large",
        "60000 x 60000 = 3,600,000,000 pixels, max_pixels is 100,000,000",
    ),
    "png no pixels": (png_with_size(0, 5), "damaged", "header claims 0 x 5 px"),
    "png apple": (
        PNG[:33] + b"\0\0\0\0CgBI" + struct.pack(">I", zlib.crc32(b"CgBI")) + PNG[33:],
        "unsupported",
        "PNG with critical chunk b'CgBI'",
    ),
    "webp cut": (
        WEBP[:-3],
        "truncated",
        f"WebP of {len(WEBP)} bytes, {len(WEBP) - 3} in the file",
    ),
    "webp bomb": (
        WEBP[:12] + b"VP8X\x0a\0\0\0\0\0\0\0" + b"\xff\x3f\0\xff\x3f\0" + WEBP[12:],
        "too_large",
        "16384 x 16384 = 268,435,456 pixels, max_pixels is 100,000,000",
    ),
    "gif bomb": (
        GIF[:6] + b"\xff\xff\xff\xff" + GIF[10:],
        "too_large",
        "65535 x 65535 = 4,294,836,225 pixels, max_pixels is 100,000,000",
    ),
    "gif codes": (
        GIF[: GIF.index(b"\x2c\0\0\0\0") + 10] + b"\0" + GIF[GIF.index(b"\x2c\0\0\0\0") + 11 :],
        "damaged",
        f"GIF of codes of 0 bits at {GIF.index(bytes((0x2C, 0, 0, 0, 0)))}",
    ),
    "gif with an early end code": (
        # A frame of 4 px of 2 bit codes: clear, 1, end.
        b"GIF87a\4\0\1\0\x81\0\0" + bytes(12) + b"\x2c\0\0\0\0\4\0\1\0\0\2\2\x4c\1\0;",
        "damaged",
        "GIF frame of 1 pixels, its header requires 4",
    ),
    "bmp cut": (BMP[:-1], "truncated", "BMP rows end at 9,270 of 9,269 bytes"),
    "bmp bomb": (
        BMP[:18] + struct.pack("<ii", 50_000, -50_000) + BMP[26:],
        "too_large",
        "50000 x 50000 = 2,500,000,000 pixels, max_pixels is 100,000,000",
    ),
    "tiff cut": (
        TIFF[:-1],
        "truncated",
        f"TIFF strip or tile ends at {len(TIFF):,} of {len(TIFF) - 1:,} bytes",
    ),
    "tiff short": (
        TIFF.replace(struct.pack("<HHII", 257, 4, 1, 48), struct.pack("<HHII", 257, 4, 1, 900)),
        "damaged",
        "TIFF of 19 strips or tiles has 1, 1 sizes",
    ),
    "tiff strip too small": (
        TIFF.replace(struct.pack("<HHII", 279, 4, 1, 9216), struct.pack("<HHII", 279, 4, 1, 9215)),
        "truncated",
        "TIFF strip or tile of 9,215 bytes, its rows take 9,216",
    ),
    "tiff header alone": (TIFF[:7], "truncated", "TIFF header ends at 8 of 7 bytes"),
    "ppm cut": (
        PPM[:-1],
        "truncated",
        "pnm: image file is truncated (191 bytes not processed)",
    ),
    "plain pnm cut in a number": (
        b"P2 2 1 255\n17 17",
        "truncated",
        "plain PNM of 16 bytes without a final line break",
    ),
    "plain pnm short": (
        b"P2 2 1 255\n17\n",
        "truncated",
        "plain PNM of 1 samples, its header requires 2",
    ),
}


@pytest.mark.parametrize("name", sorted(REJECTED))
def test_rejected_with_reason_and_detail(name: str) -> None:
    data, reason, detail = REJECTED[name]
    assert rejection(data) == (reason, detail)


def test_limits_of_the_spec() -> None:
    for name in BY_NAME:
        assert rejection(
            BY_NAME[name], spec=PixelSpec(height_px=8, width_px=8, channels=3, max_pixels=3071)
        ) == (
            "too_large",
            "64 x 48 = 3,072 pixels, max_pixels is 3,071",
        ), name
        assert rejection(
            BY_NAME[name], spec=PixelSpec(height_px=8, width_px=8, channels=3, min_side_px=49)
        ) == (
            "too_small",
            "64 x 48 px, min_side_px is 49",
        ), name
        fits = PixelSpec(height_px=8, width_px=8, channels=3, max_pixels=3072, min_side_px=48)
        assert pixels(BY_NAME[name], fits).shape == (8, 8, 3), name


def test_the_format_is_detected_by_the_first_bytes() -> None:
    assert decode(BY_NAME["png"], SAME_SIZE).format == "png"
    assert rejection(b"BM is short for something else") == (
        "not_an_image",
        "30 bytes that start with 42 4d 20 69 73 20 73 68",
    )


def test_damaged_text_and_exif_in_a_png_are_ignored() -> None:
    wrong = b"\0\0\0\x05zTXtabcde\0\0\0\0" + b"\0\0\0\x05eXIfabcde\0\0\0\0"
    assert np.array_equal(pixels(PNG[:33] + wrong + PNG[33:]), RGB)


def test_image_rejected_error_can_be_pickled_and_has_one_short_line() -> None:
    rejected = pickle.loads(pickle.dumps(ImageRejectedError("damaged", "a\nb " + "x" * 500)))
    assert (rejected.reason, rejected.detail[:4], len(rejected.detail)) == ("damaged", "a b ", 160)
    assert str(rejected).startswith("damaged: a b x")


@pytest.mark.parametrize(
    ("changed", "message"),
    [
        ({"height_px": 0}, "pixels.height_px = 0: must be greater than or equal to 1"),
        ({"channels": 4}, "pixels.channels = 4: must be 1 or 3"),
        ({"fit": "zoom"}, "pixels.fit = \"zoom\": must be 'stretch', 'crop' or 'pad'"),
        ({"background": 256}, "pixels.background = 256: must be less than or equal to 255"),
        ({"max_pixels": 0}, "pixels.max_pixels = 0: must be greater than or equal to 1"),
    ],
)
def test_invalid_spec(changed: dict[str, object], message: str) -> None:
    with pytest.raises(ConfigError) as caught:
        config_from_mapping({"pixels": changed}, source="run.yaml")
    assert str(caught.value) == f"run.yaml: 1 mistake\n  {message}"


def test_decoded_image_has_the_documented_fields() -> None:
    assert DecodedImage._fields == ("pixels", "source_height_px", "source_width_px", "format")


def test_decoding_needs_neither_spark_nor_tensorflow_and_keeps_one_thread() -> None:
    code = (
        "import sys, cv2, halftone.images;"
        "print(cv2.getNumThreads(), [m for m in ('pyspark', 'tensorflow', 'petastorm', 'horovod')"
        " if m in sys.modules])"
    )
    process = subprocess.run(
        [sys.executable, "-c", code],
        capture_output=True,
        text=True,
        check=True,
        env={**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)},
    )
    assert process.stdout.strip() == "1 []"
