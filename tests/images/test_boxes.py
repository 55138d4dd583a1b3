"""Boxes of images, compared with pictures that Pillow has turned and cut."""

from __future__ import annotations

import io

import numpy as np
import pytest
from PIL import Image, ImageOps

from halftone import images
from halftone.config import PixelSpec
from halftone.image_boxes import ImageBox
from halftone.images import ImageRejectedError

WIDTH_PX, HEIGHT_PX = 203, 150
BOXES = [
    ImageBox(0, 0, 203, 150),
    ImageBox(8, 16, 128, 128),
    ImageBox(7, 3, 130, 99),
    ImageBox(101, 51, 102, 99),
    ImageBox(5, 6, 3, 70),
    ImageBox(202, 149, 1, 1),
]


def picture() -> Image.Image:
    """Smooth colours with some texture."""
    y, x = np.mgrid[:HEIGHT_PX, :WIDTH_PX]
    waves = [128 + 100 * np.sin(x / (9 + n) + n) * np.cos(y / (7 + n)) for n in range(3)]
    return Image.fromarray(np.stack(waves, axis=2).astype(np.uint8))


def save(image: Image.Image, kind: str, **options: object) -> bytes:
    file = io.BytesIO()
    image.save(file, kind, **options)
    return file.getvalue()


def cut(image: Image.Image, box: ImageBox) -> bytes:
    right, bottom = box.x + box.width, box.y + box.height
    return save(image.crop((box.x, box.y, right, bottom)), "PNG")


@pytest.mark.parametrize("fit", ["stretch", "crop", "pad"])
@pytest.mark.parametrize("channels", [1, 3])
def test_a_box_of_a_png_is_the_part_that_pillow_cuts(fit: str, channels: int) -> None:
    data = save(picture(), "PNG")
    for side_px in (5, 16, 140):
        spec = PixelSpec(height_px=side_px, width_px=side_px + 3, channels=channels, fit=fit)  # type: ignore[arg-type]
        for box in BOXES:
            found = images.decode(data, spec, box)
            expected = images.decode(cut(picture(), box), spec).pixels
            assert np.array_equal(found.pixels, expected), (box, side_px)
            assert (found.source_height_px, found.source_width_px) == (HEIGHT_PX, WIDTH_PX)


@pytest.mark.parametrize("orientation", range(1, 9))
def test_a_box_of_a_jpeg_is_near_the_part_of_the_upright_picture(orientation: int) -> None:
    """The size of the result decides at which scale the JPEG is decoded."""
    exif = Image.Exif()
    exif[0x0112] = orientation
    sideways = orientation >= 5
    stored = picture().transpose(Image.Transpose.ROTATE_90) if sideways else picture()
    data = save(stored, "JPEG", quality=95, exif=exif)
    upright = ImageOps.exif_transpose(Image.open(io.BytesIO(data)))
    assert upright.size == (WIDTH_PX, HEIGHT_PX)
    for side_px in (4, 8, 16, 40, 140):
        spec = PixelSpec(height_px=side_px, width_px=side_px, channels=3)
        for box in BOXES:
            found = images.decode(data, spec, box).pixels.astype(int)
            expected = images.decode(cut(upright, box), spec).pixels
            assert np.abs(found - expected).mean() <= 2.5, (box, side_px)


def test_a_box_that_is_not_in_the_upright_image_is_rejected() -> None:
    exif = Image.Exif()
    exif[0x0112] = 6
    spec = PixelSpec(height_px=8, width_px=8, min_side_px=3)
    for data in (save(picture(), "JPEG", exif=exif), save(picture(), "PNG", exif=exif)):
        assert images.decode(data, spec, ImageBox(140, 190, 10, 13)).source_height_px == 203
        for box, reason, detail in (
            (ImageBox(140, 0, 11, 5), "box_outside", "ends at 151 x 5 px, the image has 150 x 203"),
            (ImageBox(0, 190, 5, 14), "box_outside", "ends at 5 x 204 px, the image has 150 x 203"),
            (ImageBox(0, 0, 2, 9), "too_small", "box of 2 x 9 px, min_side_px is 3"),
        ):
            with pytest.raises(ImageRejectedError) as caught:
                images.decode(data, spec, box)
            assert caught.value.reason == reason
            assert caught.value.detail.endswith(detail)
