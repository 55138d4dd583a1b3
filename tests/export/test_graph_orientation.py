"""The EXIF orientation read in the graph, against `images.orientation` and on damaged blocks."""

from __future__ import annotations

from typing import Callable

import numpy as np
import pytest
import tensorflow as tf
from hypothesis import given, settings
from hypothesis import strategies as st

from halftone.export.graph_orientation import read_orientation_in_graph
from halftone.images.orientation import read_orientation
from picture_files.exif import BYTE, LONG, SHORT, SIGNED_SHORT, exif_segment, exif_tiff

# Start of image, and a segment that precedes EXIF in most files; start of scan.
START, JFIF, SCAN = b"\xff\xd8", b"\xff\xe0\0\x10JFIF\0\1\1\0\0\1\0\1\0\0", b"\xff\xda\0\x02"


Read = Callable[[bytes], int]


@pytest.fixture(scope="module")
def read() -> Read:
    function = tf.function(
        read_orientation_in_graph, [tf.TensorSpec([], tf.string)], autograph=False
    )

    def read_(data: bytes) -> int:
        value = function(tf.constant(data))
        assert value.dtype == tf.int32
        return int(value)

    return read_


@pytest.mark.parametrize("order", ["<", ">"])
@pytest.mark.parametrize("kind", [BYTE, SHORT, LONG])
def test_all_orientations(read: Read, kind: int, order: str) -> None:
    for orientation in range(1, 9):
        segment = exif_segment(exif_tiff(orientation, kind, order))
        assert read(START + segment + SCAN) == orientation
        assert read(START + JFIF + b"\xff" + segment + SCAN) == orientation


def test_first_of_two_blocks_counts(read: Read) -> None:
    first, second = exif_segment(exif_tiff(6, SHORT)), exif_segment(exif_tiff(3, SHORT))
    assert read(START + first + second + SCAN) == 6


def test_what_is_not_read(read: Read) -> None:
    segment = exif_segment(exif_tiff(6, SHORT))
    assert read(START + JFIF + SCAN) == 1
    assert read(START + SCAN + segment) == 1
    assert read(START) == 1
    for value in (0, 9, 255):
        assert read(START + exif_segment(exif_tiff(value, SHORT))) == 1
    assert read(START + exif_segment(exif_tiff(6, SIGNED_SHORT))) == 1
    assert read(START + exif_segment(exif_tiff(0x10006, LONG))) == 1


@settings(max_examples=200)
@given(
    orientation=st.integers(1, 8),
    order=st.sampled_from("<>"),
    changes=st.lists(st.tuples(st.integers(0, 25), st.integers(0, 255)), max_size=3),
)
def test_damaged_blocks_are_read_as_by_images(
    read: Read, orientation: int, order: str, changes: list[tuple[int, int]]
) -> None:
    tiff = np.frombuffer(exif_tiff(orientation, SHORT, order), np.uint8).copy()
    for position, value in changes:
        tiff[position] = value
    data = tiff.tobytes()
    assert read(START + exif_segment(data)) == read_orientation(data)
