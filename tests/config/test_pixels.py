"""What digests cover of the settings of pixels, and which settings give the same pixels."""

from __future__ import annotations

from halftone.config import PixelSpec

# As a Halftone without encodings has written it into digests.
OLD = {
    "height_px": 64, "width_px": 64, "channels": 1, "fit": "stretch", "background": 0,
    "max_pixels": 100_000_000, "max_scans": 100, "min_side_px": 1,
}  # fmt: skip


def test_digests_of_raw_pixels_do_not_know_encodings() -> None:
    assert PixelSpec().identity() == OLD
    assert list(PixelSpec().identity()) == list(OLD)
    jpeg = PixelSpec(encoding="jpeg", jpeg_quality=80)
    assert jpeg.identity() == {**OLD, "encoding": "jpeg", "jpeg_quality": 80}


def test_png_has_the_pixels_of_raw_and_jpeg_has_its_own() -> None:
    raw, png, jpeg = (PixelSpec(height_px=8, encoding=name) for name in ("raw", "png", "jpeg"))
    assert png != raw
    assert png.without_lossless_encoding() == raw == raw.without_lossless_encoding()
    assert jpeg.without_lossless_encoding() == jpeg != raw
