"""The column of images of a shard, decoded."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pyarrow as pa
import pytest

from halftone import images
from halftone.config import PixelSpec
from halftone.dataset.stored_images import StoredImages
from halftone.errors import InputError

NUM_ROWS = 11
SPEC = PixelSpec(height_px=5, width_px=4, channels=3)
PIXELS = np.random.default_rng(3).integers(0, 256, (NUM_ROWS, 5, 4, 3), np.uint8)
ENCODINGS = ["raw", "jpeg", "png"]


def spec_of(encoding: str) -> PixelSpec:
    return SPEC.model_copy(update={"encoding": encoding})


def column(encoding: str, cut_row: int = -1) -> pa.ChunkedArray:
    """PIXELS in two chunks; the image of one row may lack its last bytes."""
    spec = spec_of(encoding)
    stored = [images.encode_pixels(pixels, spec) for pixels in PIXELS]
    if cut_row >= 0:
        stored[cut_row] = stored[cut_row][:-9]
    return pa.chunked_array([pa.array(stored[:3], pa.binary()), pa.array(stored[3:], pa.binary())])


def expected(encoding: str) -> np.ndarray:
    spec = spec_of(encoding)
    return np.stack([images.decode_pixels(images.encode_pixels(p, spec), spec) for p in PIXELS])


@pytest.mark.parametrize("encoding", ENCODINGS)
def test_all_or_some_images_are_decoded_in_order(encoding: str) -> None:
    stored = StoredImages(column(encoding), spec_of(encoding), "a.parquet")
    np.testing.assert_array_equal(stored.pixels(), expected(encoding))
    for rows in ([7, 0, 7], [], np.array([10])):
        np.testing.assert_array_equal(
            stored.pixels(rows), expected(encoding)[np.asarray(rows, np.int64)]
        )
    part = StoredImages(column(encoding).slice(2, 4), spec_of(encoding), "a.parquet")
    np.testing.assert_array_equal(part.pixels(), expected(encoding)[2:6])


@pytest.mark.parametrize("encoding", ENCODINGS)
@pytest.mark.parametrize("num_threads", [1, 3])
def test_images_are_copied_to_their_places(encoding: str, num_threads: int) -> None:
    target = np.full((NUM_ROWS + 2, *SPEC.shape), 99, np.uint8)
    places = np.random.default_rng(4).permutation(NUM_ROWS) + 1
    with ThreadPoolExecutor(num_threads) as threads:
        StoredImages(column(encoding), spec_of(encoding), "a").copy_to(target, places, threads)
    np.testing.assert_array_equal(target[places], expected(encoding))
    assert (target[[0, -1]] == 99).all()


@pytest.mark.parametrize("encoding", ENCODINGS)
def test_a_file_without_rows_has_no_images(encoding: str) -> None:
    stored = StoredImages(pa.chunked_array([], pa.binary()), spec_of(encoding), "a")
    assert stored.pixels().shape == (0, 5, 4, 3)
    with ThreadPoolExecutor(1) as threads:
        stored.copy_to(np.zeros((0, *SPEC.shape), np.uint8), np.arange(0), threads)


@pytest.mark.parametrize(
    ("encoding", "detail"),
    [
        ("jpeg", "Premature end of JPEG file"),
        ("png", "PNG chunk ends at 133 of 124 bytes"),
    ],
)
def test_a_damaged_image_is_named_with_its_file_and_row(encoding: str, detail: str) -> None:
    damaged = StoredImages(column(encoding, cut_row=6), spec_of(encoding), "out/a.parquet")
    later = damaged._replace(numbers=range(100, 100 + NUM_ROWS))
    for stored, row in ((damaged, 6), (later, 106)):
        with pytest.raises(InputError) as caught:
            stored.pixels()
        assert str(caught.value) == (
            f"out/a.parquet: the image of row {row} is damaged ({detail}); restore it, or run "
            "preprocess again with a new --output"
        )
        with ThreadPoolExecutor(2) as threads, pytest.raises(InputError, match=f"of row {row} is"):
            stored.copy_to(
                np.zeros((NUM_ROWS, *SPEC.shape), np.uint8), np.arange(NUM_ROWS), threads
            )
    np.testing.assert_array_equal(damaged.pixels(range(6)), expected(encoding)[:6])


def test_raw_pixels_of_a_wrong_length_are_an_error_with_the_file() -> None:
    with pytest.raises(InputError) as caught:
        StoredImages(column("raw", cut_row=6), SPEC, "out/a.parquet").pixels()
    assert str(caught.value) == (
        "out/a.parquet is damaged (image 6 has 51 bytes; its shape is (5, 4, 3)); restore it, or "
        "run preprocess again with a new --output"
    )
