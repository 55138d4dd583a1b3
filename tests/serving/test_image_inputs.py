"""Images of requests, in the three ways of giving one."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from halftone import images, storage
from halftone.config import PixelSpec
from halftone.errors import InputError
from halftone.images import ImageRejectedError
from halftone.listing import UNREADABLE
from halftone.preprocess import read_ahead
from halftone.serving import image_inputs
from served import jpeg

SPEC = PixelSpec(height_px=2, width_px=3, channels=1)
PIXELS = [[[0], [1], [2]], [[253], [254], [255]]]


def read(spec: PixelSpec = SPEC, prefixes: Any = None, **columns: list[Any]) -> list[Any]:
    rows = pd.DataFrame(columns, dtype=object)
    return image_inputs.read_images(rows, image_inputs.find_columns(rows), spec, 7, prefixes)


def message(**columns: Any) -> str:
    with pytest.raises(InputError) as caught:
        read(**columns)
    return str(caught.value)


def test_a_row_gives_exactly_one_image() -> None:
    rows = pd.DataFrame(
        {"image": [b"", None, None], "url": [None, "a", ""], "pixels": [np.nan, pd.NA, [1]]}
    )
    assert image_inputs.find_columns(rows) == ["image", "url", "pixels"]
    choice = "give exactly one of image, url, pixels"
    assert message(image=[b"1", b"2"], url=[None, "a"]) == f"row 1 gives image and url; {choice}"
    assert message(image=[b"1", None], url=["", ""]) == f"row 1 gives no image; {choice}"
    assert message(other=[1]) == f"row 0 gives no image; {choice}"


def test_file_contents_are_decoded_as_in_scoring() -> None:
    spec = PixelSpec(height_px=16, width_px=12, channels=3)
    (pixels,) = read(spec, image=[jpeg(1)])
    assert pixels.tolist() == images.decode(jpeg(1), spec).pixels.tolist()
    encoded = spec.model_copy(update={"encoding": "jpeg", "jpeg_quality": 50})
    (stored,) = read(encoded, image=[jpeg(1)])
    assert stored.tolist() != pixels.tolist()
    again = images.decode_pixels(images.encode_pixels(pixels, encoded), encoded)
    assert stored.tolist() == again.tolist()


def test_a_file_that_cannot_be_decoded_is_a_reject() -> None:
    rejects = read(image=[b"", jpeg(0)[:300], b"text"], url=[None] * 3)
    assert all(isinstance(reject, ImageRejectedError) for reject in rejects)
    assert [reject.reason for reject in rejects] == ["empty", "truncated", "not_an_image"]
    assert rejects[2].detail == "4 bytes that start with 74 65 78 74"


def test_urls_of_several_stores_are_read_in_the_order_of_the_rows(tmp_path: Path) -> None:
    contents = {
        f"{tmp_path}/a[1].jpg": jpeg(1),
        "memory://served/b.jpg": jpeg(2),
        f"file://{tmp_path}/c.jpg": jpeg(3),
    }
    for url, content in contents.items():
        storage.write_bytes(storage.normalise_url(url), content)
    missing = [f"{tmp_path}/none.jpg", "memory://served/none.jpg"]
    urls = [missing[0], *contents, missing[1]]
    decoded = read(url=urls)
    for pixels, content in zip(decoded[1:4], contents.values()):
        assert pixels.tolist() == images.decode(content, SPEC).pixels.tolist()
    assert (decoded[0].reason, decoded[0].detail) == ("unreadable", "No such file or directory")
    assert decoded[4].reason == "unreadable"


def test_unreadable_files_are_treated_as_in_scoring() -> None:
    assert image_inputs.UNREADABLE == UNREADABLE
    assert image_inputs.MAX_FILE_BYTES == read_ahead.MAX_FILE_BYTES


class _QuietHandler(SimpleHTTPRequestHandler):
    def log_message(self, *args: Any) -> None:
        pass


@pytest.fixture
def web(tmp_path: Path) -> Iterator[str]:
    """The URL of a web server with the files of tmp_path."""
    server = ThreadingHTTPServer(("127.0.0.1", 0), partial(_QuietHandler, directory=tmp_path))
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield f"http://127.0.0.1:{server.server_port}"
    server.shutdown()
    server.server_close()


def test_urls_of_web_servers(web: str, tmp_path: Path) -> None:
    (tmp_path / "a.jpg").write_bytes(jpeg(1))
    pixels, missing = read(url=[f"{web}/a.jpg", f"{web}/none.jpg"])
    assert pixels.tolist() == images.decode(jpeg(1), SPEC).pixels.tolist()
    assert missing.reason == "unreadable"


@pytest.mark.parametrize(
    "value",
    [
        PIXELS,
        np.array(PIXELS, np.uint8),
        # As Spark gives an array of arrays of arrays.
        np.array([None, None, *map(np.array, PIXELS)], object)[2:],
    ],
)
def test_pixels_are_taken_as_they_are(value: Any) -> None:
    (pixels,) = read(SPEC.model_copy(update={"encoding": "jpeg"}), pixels=[value])
    assert pixels.tolist() == PIXELS
    assert pixels.dtype == np.uint8


@pytest.mark.parametrize(
    ("value", "problem"),
    [
        ([[1, 2, 3]], "has the shape (1, 3); the model takes (2, 3, 1): height, width, channels"),
        ([[[0], [1], [2]], [[3], [4], [256]]], "are int64 from 0 to 256; give grey levels"),
        ([[[0], [1], [-2]], [[3], [4], [5]]], "are int64 from -2 to 5; give grey levels"),
        (np.full((2, 3, 1), 0.5), "are float64 from 0.5 to 0.5; give grey levels"),
        ([[[0], [1]], [[2]]], "is not an array of numbers"),
        ("red", "is not an array of numbers"),
    ],
)
def test_wrong_pixels(value: Any, problem: str) -> None:
    assert message(pixels=[value]).startswith(f"row 7: pixels {problem}")


def test_values_of_wrong_types() -> None:
    assert message(image=["text"]) == (
        "row 7: image is of type str; give the bytes of an image file"
    )
    assert message(image=[None, b"x"], url=[5, None]) == "row 7: url is of type int; give text"
    assert message(url=["s3://me:pa55@bucket/a.jpg"]).startswith(
        "a path that begins with s3:// contains a password; remove it"
    )


def test_only_urls_with_a_permitted_prefix_are_read(tmp_path: Path) -> None:
    (tmp_path / "a").mkdir()
    (tmp_path / "a" / "1.jpg").write_bytes(jpeg(1))
    prefixes = [f"{tmp_path}/a/", "s3://faces/"]
    (pixels,) = read(url=[f"{tmp_path}/a/1.jpg"], prefixes=prefixes)
    assert pixels.shape == SPEC.shape
    for url in (f"{tmp_path}/a/../b.jpg", "/etc/passwd", "s3://others/1.jpg"):
        with pytest.raises(InputError) as caught:
            read(url=[url], prefixes=prefixes)
        assert str(caught.value) == (
            f"row 7: {storage.normalise_url(url)} may not be read; this model reads URLs that "
            f"begin with {tmp_path}/a/, s3://faces/ (url_prefixes of its model_config)"
        )
