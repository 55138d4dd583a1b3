"""Pictures on the page: their pixels, their order and their captions."""

from __future__ import annotations

import base64
import io
import re

import numpy as np
import pytest
from PIL import Image

from halftone.dataset import contact_sheet
from halftone.metrics.examples import Example
from halftone.report import pictures
from report_pages import FACES, TEN, a_manifest, a_page, noise, read, some_mistakes


def opened(uri: str) -> np.ndarray:
    return np.asarray(Image.open(io.BytesIO(base64.b64decode(uri.partition(",")[2]))))


@pytest.mark.parametrize("channels", [1, 3])
def test_pictures_keep_their_pixels_and_are_enlarged_by_whole_numbers(channels: int) -> None:
    pixels = np.random.default_rng(1).integers(0, 256, (48, 36, channels), dtype=np.uint8)
    shown = pictures.embed_picture(pixels, max_side_px=192)
    assert shown[1:] == (72, 96, True)
    assert np.array_equal(opened(shown.uri), pixels if channels == 3 else pixels[:, :, 0])


def test_a_large_picture_is_reduced() -> None:
    shown = pictures.embed_picture(np.zeros((1024, 512, 3), np.uint8), max_side_px=192)
    assert shown[1:] == (64, 128, False)
    assert opened(shown.uri).shape == (192, 96, 3)


def test_a_reduced_picture_has_no_pixels_to_keep_square() -> None:
    shown = pictures.embed_picture(np.zeros((64, 64, 3), np.uint8), max_side_px=50)
    assert shown[1:] == (128, 128, False)
    assert opened(shown.uri).shape == (50, 50, 3)


@pytest.mark.parametrize(
    ("count", "channels", "kept_px"),
    # 1,200,000 bytes / (96 * 3 * 64 * 64) = 1.02; between 48 and 192.
    [(0, 1, 192), (3, 3, 192), (96, 3, 64), (96, 1, 111), (500, 3, 48)],
)
def test_many_pictures_are_kept_smaller(count: int, channels: int, kept_px: int) -> None:
    pixels = np.zeros((300, 300, channels), np.uint8)
    assert pictures.choose_max_side_px([pixels] * count) == kept_px


def test_mistakes_with_their_probability_and_path() -> None:
    text = a_page(FACES)
    page = read(FACES)
    shares = re.findall(r"probability (\d+\.\d+%) comics/(\d)\.jpg", page.words())
    assert shares == [("70.00%", "2"), ("60.00%", "1"), ("50.00%", "0")]
    assert "3 of 40, the most confident mistakes first" in page.words()
    image = page.all("img")[-1]
    assert (image["width"], image["height"], image["class"]) == ("128", "128", "enlarged")
    assert image["alt"] == "An image of class comics, taken for faces"
    assert "comics/<wbr>0.jpg" in text


def test_the_least_certain_are_in_the_order_given_and_right_or_wrong() -> None:
    pixels = np.zeros((8, 8, 1), np.uint8)
    page = read(
        FACES,
        least_certain=[
            Example("/data/images/faces/9.jpg", "faces", "faces", 0.5001, 0.0001, pixels),
            Example("elsewhere/3.jpg", "faces", "comics", 0.48, 0.02, pixels),
        ],
    )
    assert page.alts()[-2:] == [
        "An image of class faces, rightly taken for faces",
        "An image of class faces, wrongly taken for comics",
    ]
    assert (
        "faces → faces, rightprobability 50.01%margin 0.01% faces/9.jpg "
        "faces → comics, wrongprobability 48.00%margin 2.00% elsewhere/3.jpg"
    ) in page.words()
    assert "The 2 images that the model was least certain of, right or wrong" in page.words()
    assert "the distance of the probability from the threshold." in page.words()
    ten = read(TEN, least_certain=some_mistakes(TEN)).words()
    assert "the distance of the probability to that of the next class." in ten


def test_rejects_with_what_can_be_seen_of_them() -> None:
    manifest = a_manifest(FACES, rejects=6, rejects_by_reason={"damaged": 1, "truncated": 5})
    page = read(
        FACES,
        manifest=manifest,
        rejects=[
            ("/data/images/t.jpg", "truncated", "premature end", None),
            ("/data/images/d.jpg", "damaged", "corrupt data at 55%", noise(1, 40, 3)[0]),
        ],
    )
    assert "Rejected images, 2 of 6" in page.words()
    assert "damaged: corrupt data at 55% d.jpg Rejects that cannot be shown" in page.words()
    assert ["t.jpg", "truncated", "premature end"] in page.rows
    assert page.alts()[-1] == "The readable part of an image that was rejected as damaged"


def test_a_contact_sheet_is_folded_away() -> None:
    png = contact_sheet.draw_contact_sheet([("faces", noise(24, 32, 3))])
    text = a_page(FACES, contact_sheet=png)
    match = re.search(r"<details>\s*<summary>Contact sheet</summary>\s*<img [^>]*>", text)
    assert match
    size = Image.open(io.BytesIO(png)).size
    uri = re.findall(r'src="(data:image/jpeg;[^"]*)"', match.group())[0]
    assert opened(uri).shape == (size[1], size[0], 3)
    assert f'width="{size[0]}" height="{size[1]}"' in match.group()
    assert 'alt="Contact sheet of the dataset: images of each class' in match.group()
    assert "Contact sheet, in the dataset" not in text


def test_a_contact_sheet_that_is_too_large_is_named_instead() -> None:
    png = contact_sheet.draw_contact_sheet([("faces", noise(240, 96, 3))])
    page = read(FACES, contact_sheet=png)
    assert pictures.embed_contact_sheet(png) is None
    assert "Contact sheet, in the datasetcontact_sheets/a.png" in page.words()
