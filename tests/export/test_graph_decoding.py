"""The graph's decoder against `images.decode`: docs/export.md states the bounds that are here."""

from __future__ import annotations

import io
import random
from functools import cache
from typing import Callable

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


@cache
def graph_decoder(spec: PixelSpec) -> Callable[[bytes], np.ndarray]:
    function = tf.function(
        lambda data: decode_in_graph(data, spec),
        input_signature=[tf.TensorSpec([], tf.string)],
        autograph=False,
    )
    return lambda data: function(tf.constant(data)).numpy()


def encode(pixels: np.ndarray, name: str, **options: object) -> bytes:
    buffer = io.BytesIO()
    Image.fromarray(pixels).save(buffer, name, **options)
    return buffer.getvalue()


def rotated(jpeg: bytes, orientation: int) -> bytes:
    return jpeg[:2] + exif_segment(exif_tiff(orientation, SHORT)) + jpeg[2:]


def difference(data: bytes, spec: PixelSpec) -> np.ndarray:
    """By pixel and channel, in grey levels."""
    ours, theirs = decode(data, spec).pixels, graph_decoder(spec)(data)
    assert (theirs.shape, theirs.dtype) == (ours.shape, ours.dtype)
    return np.abs(ours.astype(int) - theirs)


@pytest.fixture(scope="module")
def pictures() -> list[np.ndarray]:
    rng = np.random.default_rng(7)
    return [drawing(rng), texture(rng)]


@pytest.mark.parametrize("channels", [1, 3])
@pytest.mark.parametrize("fit", ["stretch", "crop", "pad"])
def test_pixels_of_all_sizes_formats_and_orientations(
    pictures: list[np.ndarray], fit: str, channels: int
) -> None:
    choice, rng = random.Random(7), np.random.default_rng(7)
    spec = PixelSpec(height_px=48, width_px=64, channels=channels, fit=fit, background=77)
    for case in range(24):
        max_side_px = (60, 300, 1200)[case % 3]
        height_px, width_px = choice.randint(8, max_side_px), choice.randint(8, max_side_px)
        colour = np.ascontiguousarray(pictures[case % 2][:height_px, :width_px])
        alpha = rng.integers(0, 256, colour.shape[:2], np.uint8)
        jpeg = encode(colour, "JPEG", quality=90, subsampling=choice.choice([0, 2]))
        for name, data in {
            "JPEG": rotated(jpeg, choice.randint(1, 8)),
            "grey JPEG": encode(colour[..., 1], "JPEG"),
            "PNG": encode(colour, "PNG"),
            "PNG with alpha": encode(np.dstack([colour, alpha]), "PNG"),
            "grey PNG": encode(colour[..., 1], "PNG"),
            "GIF": encode(colour, "GIF"),
            "BMP": encode(colour, "BMP"),
        }.items():
            values = difference(data, spec)
            where = f"{name} of {height_px} x {width_px}: {values.mean():.3f}, {values.max()}"
            assert values.max() <= MAX_DIFFERENCE, where
            assert values.mean() <= MAX_MEAN_DIFFERENCE, where


@pytest.mark.parametrize("channels", [1, 3])
def test_an_image_of_the_right_size_has_the_same_pixels(
    pictures: list[np.ndarray], channels: int
) -> None:
    spec = PixelSpec(height_px=48, width_px=64, channels=channels, background=200)
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
    pictures: list[np.ndarray], channels: int
) -> None:
    spec = PixelSpec(height_px=48, width_px=64, channels=channels, encoding="jpeg", jpeg_quality=70)
    data = encode(pictures[0][:48, :64], "PNG")
    raw = decode(data, spec).pixels
    stored = decode_pixels(encode_pixels(raw, spec), spec)
    assert abs(stored.astype(int) - raw).max() > 5
    np.testing.assert_array_equal(graph_decoder(spec)(data), stored)


def test_formats_that_are_not_decoded_fail(pictures: list[np.ndarray]) -> None:
    decoder = graph_decoder(PixelSpec(height_px=8, width_px=8))
    small = pictures[0][:9, :9]
    for data in (encode(small, "WEBP"), encode(small, "TIFF"), encode(small, "PPM"), b"", b"text"):
        with pytest.raises(tf.errors.InvalidArgumentError):
            decoder(data)
    jpeg = encode(pictures[0][:64, :64], "JPEG")
    with pytest.raises(tf.errors.InvalidArgumentError):
        decoder(jpeg[: len(jpeg) // 2])


def test_the_orientation_of_a_png_is_not_read() -> None:
    """Known difference: nor is a rule that would have to search behind all of the pixels."""
    pixels = np.zeros((8, 8, 3), np.uint8)
    pixels[:4] = 255
    exif = Image.Exif()
    exif[0x0112] = 3
    data = encode(pixels, "PNG", exif=exif.tobytes())
    spec = PixelSpec(height_px=8, width_px=8)
    assert decode(data, spec).pixels[0, 0, 0] == 0
    assert graph_decoder(spec)(data)[0, 0, 0] == 255


def test_a_cmyk_jpeg_differs_by_its_conversion(pictures: list[np.ndarray]) -> None:
    image = Image.fromarray(cv2.resize(pictures[1], (64, 48))).convert("CMYK")
    buffer = io.BytesIO()
    image.save(buffer, "JPEG", quality=90)
    spec = PixelSpec(height_px=48, width_px=64, channels=3)
    assert difference(buffer.getvalue(), spec).max() <= MAX_DIFFERENCE
    with pytest.raises(tf.errors.InvalidArgumentError):
        graph_decoder(PixelSpec(height_px=48, width_px=64, channels=1))(buffer.getvalue())
