"""The graph's decoder against `images.decode`: docs/how-to/export.md has the same bounds."""

from __future__ import annotations

import io
import random
from collections.abc import Iterator
from typing import Callable, NamedTuple

import cv2
import numpy as np
import pytest
import tensorflow as tf
from PIL import Image

from halftone.config import PixelSpec
from halftone.export.graph_decoding import decode_in_graph
from halftone.images import decode, decode_pixels, encode_pixels
from large_pictures import drawing, texture
from picture_files.exif import SHORT, exif_segment, exif_tiff

MAX_DIFFERENCE, MAX_MEAN_DIFFERENCE = 1, 0.25  # grey levels, of a pixel and of an image
Decode = Callable[[bytes, PixelSpec], np.ndarray]
# Shared by tests, as tracing a graph takes a second.
GREY, COLOUR, PADDED = (
    PixelSpec(height_px=48, width_px=64, channels=channels, fit=fit, background=77)
    for fit, channels in (("stretch", 1), ("crop", 3), ("pad", 1))
)


@pytest.fixture(scope="module")
def decode_by_graph() -> Iterator[Decode]:
    functions = {}

    def decode_(data: bytes, spec: PixelSpec) -> np.ndarray:
        if spec not in functions:
            functions[spec] = tf.function(
                lambda data: decode_in_graph(data, spec),
                input_signature=[tf.TensorSpec([], tf.string)],
                autograph=False,
            )
        return functions[spec](tf.constant(data)).numpy()

    yield decode_
    functions.clear()


@pytest.fixture(scope="module")
def difference(decode_by_graph: Decode) -> Decode:
    """By pixel and channel, in grey levels."""

    def difference_(data: bytes, spec: PixelSpec) -> np.ndarray:
        ours, theirs = decode(data, spec).pixels, decode_by_graph(data, spec)
        assert (theirs.shape, theirs.dtype) == (ours.shape, ours.dtype)
        return np.abs(ours.astype(int) - theirs)

    return difference_


def encode(pixels: np.ndarray, name: str, **options: object) -> bytes:
    buffer = io.BytesIO()
    Image.fromarray(pixels).save(buffer, name, **options)
    return buffer.getvalue()


def rotated(jpeg: bytes, orientation: int) -> bytes:
    return jpeg[:2] + exif_segment(exif_tiff(orientation, SHORT)) + jpeg[2:]


@pytest.fixture(scope="module")
def pictures() -> list[np.ndarray]:
    rng = np.random.default_rng(7)
    return [drawing(rng), texture(rng)]


class File(NamedTuple):
    name: str
    data: bytes


def draw_files(pictures: list[np.ndarray], cases: int) -> Iterator[File]:
    choice, rng = random.Random(7), np.random.default_rng(7)
    for case in range(cases):
        max_side_px = (60, 300, 60, 1200)[case % 4]
        height_px, width_px = choice.randint(8, max_side_px), choice.randint(8, max_side_px)
        colour = np.ascontiguousarray(pictures[case % 2][:height_px, :width_px])
        alpha = rng.integers(0, 256, colour.shape[:2], np.uint8)
        jpeg = encode(colour, "JPEG", quality=90, subsampling=choice.choice([0, 2]))
        size = f"{height_px} x {width_px}"
        yield File(f"JPEG {size}", rotated(jpeg, choice.randint(1, 8)))
        yield File(f"grey JPEG {size}", encode(colour[..., 1], "JPEG"))
        yield File(f"PNG {size}", encode(colour, "PNG", compress_level=1))
        with_alpha = np.dstack([colour, alpha])
        yield File(f"PNG with alpha {size}", encode(with_alpha, "PNG", compress_level=1))
        yield File(f"grey PNG {size}", encode(colour[..., 1], "PNG", compress_level=1))
        yield File(f"BMP {size}", encode(colour, "BMP"))
        if max_side_px <= 60:
            yield File(f"GIF {size}", encode(colour, "GIF"))


@pytest.fixture(scope="module")
def files(pictures: list[np.ndarray]) -> list[File]:
    return list(draw_files(pictures, cases=8))


@pytest.mark.parametrize("spec", [GREY, COLOUR, PADDED], ids=lambda spec: spec.fit)
def test_pixels_of_all_sizes_formats_and_orientations(
    files: list[File], difference: Decode, spec: PixelSpec
) -> None:
    for name, data in files:
        values = difference(data, spec)
        where = f"{name}: {values.mean():.3f}, {values.max()}"
        assert values.max() <= MAX_DIFFERENCE, where
        assert values.mean() <= MAX_MEAN_DIFFERENCE, where


@pytest.mark.parametrize("spec", [GREY, COLOUR], ids=["grey", "colour"])
def test_an_image_of_the_right_size_has_the_same_pixels(
    pictures: list[np.ndarray], difference: Decode, spec: PixelSpec
) -> None:
    colour = pictures[1][:48, :64]
    alpha = np.random.default_rng(1).integers(0, 256, (48, 64), np.uint8)
    for data in (
        encode(colour, "PNG"),
        encode(np.dstack([colour, alpha]), "PNG"),
        encode(colour, "BMP"),
        encode(colour, "JPEG", quality=80),
    ):
        assert difference(data, spec).max() == 0


@pytest.mark.parametrize("channels", [1, 3])
def test_a_dataset_of_jpeg_gives_the_pixels_that_its_rows_have(
    pictures: list[np.ndarray], decode_by_graph: Decode, channels: int
) -> None:
    spec = PixelSpec(height_px=48, width_px=64, channels=channels, encoding="jpeg", jpeg_quality=70)
    data = encode(pictures[0][:48, :64], "PNG")
    raw = decode(data, spec).pixels
    stored = decode_pixels(encode_pixels(raw, spec), spec)
    assert abs(stored.astype(int) - raw).max() > 5
    np.testing.assert_array_equal(decode_by_graph(data, spec), stored)


def test_formats_that_are_not_decoded_fail(
    pictures: list[np.ndarray], decode_by_graph: Decode
) -> None:
    small = pictures[0][:9, :9]
    for data in (encode(small, "WEBP"), encode(small, "TIFF"), encode(small, "PPM"), b"", b"text"):
        with pytest.raises(tf.errors.InvalidArgumentError):
            decode_by_graph(data, GREY)
    jpeg = encode(pictures[0][:64, :64], "JPEG")
    with pytest.raises(tf.errors.InvalidArgumentError):
        decode_by_graph(jpeg[: len(jpeg) // 2], GREY)


def test_the_orientation_of_a_png_is_not_read(decode_by_graph: Decode) -> None:
    """A known difference: the block may stand behind all of the pixels."""
    pixels = np.zeros((8, 8, 3), np.uint8)
    pixels[:4] = 255
    exif = Image.Exif()
    exif[0x0112] = 3
    data = encode(pixels, "PNG", exif=exif.tobytes())
    assert decode(data, GREY).pixels[0, 0, 0] == 0
    assert decode_by_graph(data, GREY)[0, 0, 0] == 255


def test_a_cmyk_jpeg_needs_a_model_of_colour(
    pictures: list[np.ndarray], decode_by_graph: Decode, difference: Decode
) -> None:
    buffer = io.BytesIO()
    image = Image.fromarray(cv2.resize(pictures[1], (64, 48))).convert("CMYK")
    image.save(buffer, "JPEG", quality=90)
    assert difference(buffer.getvalue(), COLOUR).max() <= MAX_DIFFERENCE
    with pytest.raises(tf.errors.InvalidArgumentError):
        decode_by_graph(buffer.getvalue(), GREY)
