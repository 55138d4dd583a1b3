"""Heat maps over pictures."""

from __future__ import annotations

import base64
import io
import re

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from halftone.report import HeatMaps, heat_maps
from report_pages import FACES, HOSTILE, Page, a_page, noise, read, some_mistakes

KEYS = [f"/data/images/comics/{number}.jpg" for number in (2, 1, 0)]


def hot(row: int, column: int, side: int = 6) -> np.ndarray:
    values = np.zeros((side, side), np.float32)
    values[row, column] = 3.0
    return values


def opened(uri: str) -> np.ndarray:
    data = base64.b64decode(uri.partition(",")[2])
    return np.asarray(Image.open(io.BytesIO(data)).convert("RGBA"))


@pytest.mark.parametrize(
    ("place", "expected"),
    [
        ((0, 0), "mostly in the upper left"),
        ((0, 2), "mostly at the top"),
        ((1, 5), "mostly in the upper right"),
        ((3, 0), "mostly on the left"),
        ((2, 3), "mostly in the middle"),
        ((3, 5), "mostly on the right"),
        ((5, 1), "mostly in the lower left"),
        ((4, 3), "mostly at the bottom"),
        ((5, 5), "mostly in the lower right"),
    ],
)
def test_the_place_is_named(place: tuple[int, int], expected: str) -> None:
    assert heat_maps.describe_place(hot(*place)) == expected


@pytest.mark.parametrize("shape", [(1, 2), (2, 2), (7, 7), (12, 3)])
def test_an_even_map_names_no_place(shape: tuple[int, int]) -> None:
    assert heat_maps.describe_place(np.ones(shape, np.float32)) == "all over the picture"


def test_the_overlay_has_the_shape_of_the_picture_and_shows_it_where_nothing_is_hot() -> None:
    overlay = heat_maps.embed_heat_map(hot(0, 5), 100, 200)
    assert overlay is not None
    pixels = opened(overlay.uri)
    assert pixels.shape == (24, 48, 4)
    # Colour and opacity of the largest value; 0.75 of 255.
    assert pixels[0, -1].tolist() == [253, 231, 37, 191]
    assert pixels[:, :36, 3].max() == pixels[12:, :, 3].max() == 0
    assert overlay.place == "mostly in the upper right"
    assert len(overlay.uri) < 2000


def test_values_between_places_are_interpolated() -> None:
    """Of two places, the centres are at a quarter and at three quarters of the picture."""
    overlay = heat_maps.embed_heat_map(np.array([[0.0, 1.0]], np.float32), 48, 48)
    assert overlay is not None
    opacity = opened(overlay.uri)[20, :, 3] / 191
    columns = (np.arange(48) + 0.5) / 48
    expected = np.clip((columns - 0.25) / 0.5, 0, 1)
    np.testing.assert_allclose(opacity, expected, atol=0.5 / 31 + 0.01)


@settings(max_examples=20)
@given(st.floats(1e-30, 1e30), st.integers(1, 9), st.integers(1, 9))
def test_the_picture_depends_on_the_shares_alone(factor: float, height: int, width: int) -> None:
    values = np.arange(height * width, dtype=np.float32).reshape(height, width)
    overlay = heat_maps.embed_heat_map(values, 20, 30)
    scaled = heat_maps.embed_heat_map(values * np.float32(factor), 20, 30)
    if height * width == 1:
        assert overlay is scaled is None
        return
    assert overlay is not None
    assert scaled is not None
    difference = opened(overlay.uri).astype(int) - opened(scaled.uri)
    assert abs(difference).max() <= 24  # a value may be rounded to the next level
    assert overlay.place == scaled.place


def test_the_page_has_them_over_the_pictures_of_their_keys() -> None:
    maps = HeatMaps({KEYS[0]: hot(0, 0), KEYS[2]: np.zeros((2, 2), np.float32)})
    page = read(FACES, heat_maps=maps, least_certain=some_mistakes(FACES)[:1])
    overlays = [image for image in page.all("img") if image.get("class") == "overlay"]
    # The first mistake is among the least certain too.
    assert [image["alt"] for image in overlays] == [
        "What speaks for faces is mostly in the upper left"
    ] * 2
    assert page.words().count("no place speaks for the prediction") == 1
    assert [box["id"] for box in page.all("input")] == ["heat-mistakes", "heat-uncertain"]
    assert [label["for"] for label in page.all("label")] == ["heat-mistakes", "heat-uncertain"]
    assert "what speaks for its prediction (Grad-CAM)" in page.words()


@pytest.mark.parametrize("maps", [None, HeatMaps({})])
def test_a_page_without_heat_maps_does_not_mention_them(maps: HeatMaps | None) -> None:
    page = read(FACES, heat_maps=maps)
    assert "Grad-CAM" not in page.words()
    assert not page.all("input")
    assert a_page(FACES, heat_maps=maps) == a_page(FACES)


def test_why_there_are_none_is_said_in_both_sections() -> None:
    page = read(
        FACES,
        heat_maps=HeatMaps({}, "the network has no convolution, and so no feature maps"),
        least_certain=some_mistakes(FACES),
    )
    sentence = "There are no heat maps: the network has no convolution, and so no feature maps."
    assert page.words().count(sentence) == 2
    assert not page.all("input")


def test_html_in_names_is_text() -> None:
    key = f"/data/images/{HOSTILE[0]}/2.jpg"
    html = a_page(HOSTILE, heat_maps=HeatMaps({key: hot(0, 0)}, "<b>bad</b>"))
    assert "<script" not in html
    assert "<b>" not in html
    html = a_page(HOSTILE, heat_maps=HeatMaps({key: hot(0, 0)}))
    (alt,) = (alt for alt in Page(html).alts() if alt.startswith("What speaks"))
    assert alt == f"What speaks for {HOSTILE[1]} is mostly in the upper left"


def test_a_picture_is_on_the_page_once() -> None:
    """The heat map of 96 pictures adds little to a page that is bounded."""
    mistakes = some_mistakes(FACES, 64, 3)
    maps = {key: np.abs(noise(1, 64, 1, seed)[0][:, :, 0]).astype(np.float32)
            for seed, key in enumerate(KEYS)}  # fmt: skip
    plain = a_page(FACES, mistakes=mistakes)
    html = a_page(FACES, mistakes=mistakes, heat_maps=HeatMaps(maps))
    assert len(re.findall("data:image/png", html)) == 6
    assert len(html) - len(plain) < 3 * 4000 + 1000
