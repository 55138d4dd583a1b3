"""Pixels of a row encoded as PNG or JPEG and decoded again; Pillow and OpenCV are the reference."""

from __future__ import annotations

import io
from contextlib import suppress
from typing import Any

import cv2
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from halftone.config import PixelSpec
from halftone.images import ImageRejectedError, decode_pixels, encode_pixels

SIDE_PX = 40


def spec_of(pixels: np.ndarray, **settings: Any) -> PixelSpec:
    height_px, width_px, channels = pixels.shape
    return PixelSpec(height_px=height_px, width_px=width_px, channels=channels, **settings)


def noise(height_px: int, width_px: int, channels: int, seed: int = 1) -> np.ndarray:
    rng = np.random.default_rng(seed)
    return rng.integers(0, 256, (height_px, width_px, channels), np.uint8)


def picture(channels: int, seed: int = 1) -> np.ndarray:
    """Smooth shading with some noise, as in a photograph."""
    coarse = cv2.resize(noise(5, 5, 3, seed), (SIDE_PX, SIDE_PX), interpolation=cv2.INTER_CUBIC)
    grainy = np.clip(coarse + np.random.default_rng(seed).normal(0, 6, coarse.shape), 0, 255)
    return np.ascontiguousarray(grainy.astype(np.uint8)[..., :channels])


def shown_by_pillow(data: bytes) -> np.ndarray:
    pixels = np.asarray(Image.open(io.BytesIO(data)))
    return pixels[..., None] if pixels.ndim == 2 else pixels


@given(st.integers(1, 70), st.integers(1, 70), st.sampled_from([1, 3]), st.integers(0, 2**32 - 1))
def test_raw_and_png_keep_every_pixel(height: int, width: int, channels: int, seed: int) -> None:
    pixels = noise(height, width, channels, seed)
    raw, png = spec_of(pixels), spec_of(pixels, encoding="png")
    assert encode_pixels(pixels, raw) == pixels.tobytes()
    np.testing.assert_array_equal(decode_pixels(encode_pixels(pixels, raw), raw), pixels)
    data = encode_pixels(pixels, png)
    np.testing.assert_array_equal(shown_by_pillow(data), pixels)
    np.testing.assert_array_equal(decode_pixels(data, png), pixels)


@pytest.mark.parametrize("channels", [1, 3])
@pytest.mark.parametrize("quality", [30, 95, 100])
def test_jpeg_is_what_other_decoders_show_and_close_to_the_pixels(
    channels: int, quality: int
) -> None:
    pixels = picture(channels)
    spec = spec_of(pixels, encoding="jpeg", jpeg_quality=quality)
    data = encode_pixels(pixels, spec)
    got = decode_pixels(data, spec)
    assert (got.shape, got.dtype) == (pixels.shape, np.uint8)
    np.testing.assert_array_equal(got, shown_by_pillow(data))
    flag = cv2.IMREAD_COLOR_RGB if channels == 3 else cv2.IMREAD_GRAYSCALE
    by_opencv = cv2.imdecode(np.frombuffer(data, np.uint8), flag).reshape(pixels.shape)
    np.testing.assert_array_equal(got, by_opencv)
    mean_difference = np.abs(got.astype(int) - pixels).mean()
    assert mean_difference < {30: 8, 95: 4, 100: 1.5}[quality]


def test_quality_decides_the_size_of_a_jpeg() -> None:
    pixels = picture(3)
    sizes = [
        len(encode_pixels(pixels, spec_of(pixels, encoding="jpeg", jpeg_quality=quality)))
        for quality in (10, 50, 90, 100)
    ]
    assert sizes == sorted(sizes)
    assert sizes[0] < sizes[3] / 3


def test_colour_of_a_jpeg_is_not_subsampled() -> None:
    """A red and a blue column of one pixel each stay apart, which 4:2:0 would mix."""
    pixels = np.zeros((16, 16, 3), np.uint8)
    pixels[:, ::2, 0] = pixels[:, 1::2, 2] = 255
    spec = spec_of(pixels, encoding="jpeg")
    data = encode_pixels(pixels, spec)
    assert [layer[1:3] for layer in Image.open(io.BytesIO(data)).layer] == [(1, 1)] * 3
    assert np.abs(decode_pixels(data, spec).astype(int) - pixels).max() < 40


def rejection(data: bytes, spec: PixelSpec) -> tuple[str, str]:
    with pytest.raises(ImageRejectedError) as caught:
        decode_pixels(data, spec)
    return caught.value.reason, caught.value.detail


@pytest.mark.parametrize("channels", [1, 3])
@pytest.mark.parametrize("encoding", ["raw", "jpeg", "png"])
def test_a_cut_image_is_an_error_wherever_it_is_cut(encoding: str, channels: int) -> None:
    pixels = picture(channels)
    spec = spec_of(pixels, encoding=encoding)
    data = encode_pixels(pixels, spec)
    for length in range(0, len(data), 7):
        assert rejection(data[:length], spec)[0] in ("truncated", "damaged")


@given(st.integers(0, 10**6), st.integers(1, 255), st.sampled_from([1, 3]))
def test_a_changed_byte_of_a_png_is_an_error(at: int, change: int, channels: int) -> None:
    pixels = picture(channels)
    spec = spec_of(pixels, encoding="png")
    data = bytearray(encode_pixels(pixels, spec))
    data[at % len(data)] ^= change
    assert rejection(bytes(data), spec)[0] in ("truncated", "damaged")


@given(st.integers(0, 10**6), st.integers(1, 255), st.sampled_from([1, 3]))
def test_a_changed_byte_of_a_jpeg_is_an_error_or_gives_an_image(
    at: int, change: int, channels: int
) -> None:
    pixels = picture(channels)
    spec = spec_of(pixels, encoding="jpeg")
    data = bytearray(encode_pixels(pixels, spec))
    data[at % len(data)] ^= change
    with suppress(ImageRejectedError):
        assert decode_pixels(bytes(data), spec).shape == pixels.shape


def test_a_lossless_jpeg_does_not_reach_the_decoder() -> None:
    pixels = picture(1)
    spec = spec_of(pixels, encoding="jpeg")
    data = encode_pixels(pixels, spec).replace(b"\xff\xc0", b"\xff\xc3", 1)
    assert rejection(data, spec) == (
        "unsupported",
        "JPEG frame 0xffc3 (lossless or hierarchical)",
    )


@pytest.mark.parametrize("encoding", ["jpeg", "png"])
def test_an_image_of_another_size_is_an_error(encoding: str) -> None:
    data = encode_pixels(noise(4, 6, 1), PixelSpec(height_px=4, width_px=6, encoding=encoding))
    spec = PixelSpec(height_px=6, width_px=4, encoding=encoding)
    assert rejection(data, spec) == ("damaged", "6 x 4 px, 4 x 6 are expected")


def test_raw_pixels_of_another_size_are_an_error() -> None:
    spec = PixelSpec(height_px=2, width_px=3)
    assert rejection(bytes(7), spec) == ("damaged", "7 bytes, 6 are expected")


def test_limits_on_source_images_do_not_apply_to_stored_ones() -> None:
    pixels = picture(1)
    spec = spec_of(pixels, encoding="jpeg", min_side_px=1000, max_pixels=1)
    assert decode_pixels(encode_pixels(pixels, spec), spec).shape == pixels.shape
