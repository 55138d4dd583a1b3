"""JPEG: headers are read before decoding, libjpeg's warnings, and the reduced decode."""

from __future__ import annotations

import io
from functools import partial

import cv2
import numpy as np
import pytest
from PIL import Image

import rejected_images
from halftone.config import PixelSpec
from halftone.images import decode
from halftone.images.jpeg import read_jpeg_header

GREY_16 = PixelSpec(height_px=16, width_px=16, channels=1)


def picture(height_px: int = 96, width_px: int = 128) -> np.ndarray:
    """(height_px, width_px, 3) uint8 RGB, smooth, every channel different."""
    y, x = np.mgrid[0:height_px, 0:width_px]
    red = 127 + 120 * np.sin(x / 17)
    green = 127 + 120 * np.cos(y / 11)
    return np.stack([red, green, (x + y) * 255 / (height_px + width_px)], 2).astype(np.uint8)


def jpeg(rgb: np.ndarray, *options: int) -> bytes:
    return bytes(cv2.imencode(".jpg", cv2.cvtColor(rgb, cv2.COLOR_RGB2BGR), list(options))[1])


def pillow_jpeg(image: Image.Image, **options: object) -> bytes:
    buffer = io.BytesIO()
    image.save(buffer, "JPEG", **options)
    return buffer.getvalue()


def mean_difference(first: np.ndarray, second: np.ndarray) -> float:
    return float(np.abs(first.astype(int) - second.astype(int)).mean())


def opencv_pixels(data: bytes) -> np.ndarray:
    """(H, W, 3) RGB, upright by EXIF."""
    return cv2.imdecode(np.frombuffer(data, np.uint8), cv2.IMREAD_COLOR)[..., ::-1]


rejection = partial(rejected_images.rejection, spec=GREY_16)


PLAIN = jpeg(picture())
PROGRESSIVE = jpeg(picture(), cv2.IMWRITE_JPEG_PROGRESSIVE, 1)
SOS = PLAIN.index(b"\xff\xda")
# Every segment of the header as OpenCV writes it: APP0 of 18 bytes, DQT twice 69, SOF0 of 19...
AFTER_APP0 = 20


def test_layout_that_the_tests_below_rely_on() -> None:
    assert PLAIN[:4] == b"\xff\xd8\xff\xe0"
    assert PLAIN[6:11] == b"JFIF\0"
    assert PLAIN[AFTER_APP0 : AFTER_APP0 + 2] == b"\xff\xdb"
    assert PLAIN[SOS : SOS + 14].hex() == "ffda000c03010002110311003f00"
    assert PLAIN[-2:] == b"\xff\xd9"


PROFILE_1_OF_2 = b"\xff\xe2\0\x1aICC_PROFILE\0\1\2" + b"x" * 10
HARMLESS = {
    "junk between segments": PLAIN[:AFTER_APP0] + b"abc" + PLAIN[AFTER_APP0:],
    "junk twice": PLAIN[:AFTER_APP0] + b"abc" + PLAIN[AFTER_APP0:SOS] + b"de" + PLAIN[SOS:],
    "profile part 1 of 2": PLAIN[:AFTER_APP0] + PROFILE_1_OF_2 + PLAIN[AFTER_APP0:],
    "unknown JFIF revision": PLAIN[:11] + b"\x09" + PLAIN[12:],
    "needless scan parameters": PLAIN[: SOS + 11] + b"\1\2\3" + PLAIN[SOS + 14 :],
    "unknown Adobe transform": PLAIN[:2]
    + b"\xff\xee\0\x0eAdobe\0\x64\0\0\0\0\x07"
    + PLAIN[AFTER_APP0:],
    "zeros before the end": PLAIN[:-2] + bytes(100) + PLAIN[-2:],
    "junk and zeros": PLAIN[:AFTER_APP0] + b"abc" + PLAIN[AFTER_APP0:-2] + bytes(9) + PLAIN[-2:],
    "junk before the end": PLAIN[:-2] + b"\xab" * 100 + PLAIN[-2:],
    "end marker missing": PLAIN[:-2],
    "trailer instead of the end marker": PLAIN[:-2] + b"\0\0\1\nSEFT" * 99,
    "text after the end": PLAIN + b"and a video",
    "fill bytes before a marker": PLAIN[:AFTER_APP0] + b"\xff\xff" + PLAIN[AFTER_APP0:],
}


@pytest.mark.parametrize("name", sorted(HARMLESS))
@pytest.mark.parametrize("channels", [1, 3])
def test_harmless_defect_gives_the_pixels_of_the_plain_file(name: str, channels: int) -> None:
    spec = PixelSpec(height_px=16, width_px=16, channels=channels)
    assert np.array_equal(decode(HARMLESS[name], spec).pixels, decode(PLAIN, spec).pixels)


HALF = len(PLAIN) // 2
DAMAGED = {
    "cut in half": (PLAIN[:HALF], "truncated", "Premature end of JPEG file"),
    "cut and closed": (
        PLAIN[:HALF] + b"\xff\xd9",
        "damaged",
        "Corrupt JPEG data: premature end of data segment",
    ),
    "cut, after a harmless defect": (
        PLAIN[:AFTER_APP0] + b"abc" + PLAIN[AFTER_APP0:HALF],
        "truncated",
        "Premature end of JPEG file",
    ),
    "cut within the header": (
        PLAIN[:100],
        "truncated",
        "JPEG segment 0xdb ends at 158 of 100 bytes",
    ),
    "cut after a segment": (
        PLAIN[:AFTER_APP0],
        "truncated",
        "JPEG header ends at 20 bytes, before any scan",
    ),
    "no frame": (
        PLAIN[:AFTER_APP0] + PLAIN[SOS:],
        "damaged",
        "JPEG scan without a frame header",
    ),
    "end before a scan": (
        PLAIN[:AFTER_APP0] + b"\xff\xd9" + PLAIN[AFTER_APP0:],
        "damaged",
        "JPEG marker 0xd9 at 20, before any scan",
    ),
}


@pytest.mark.parametrize("name", sorted(DAMAGED))
def test_damage_is_rejected(name: str) -> None:
    data, reason, detail = DAMAGED[name]
    assert rejection(data) == (reason, detail)


def test_restart_marker_out_of_order_is_damage() -> None:
    data = jpeg(picture(), cv2.IMWRITE_JPEG_RST_INTERVAL, 1)
    assert decode(data, GREY_16).source_width_px == 128
    wrong = data.replace(b"\xff\xd2", b"\xff\xd6")
    assert rejection(wrong) == (
        "damaged",
        "Corrupt JPEG data: found marker 0xd6 instead of RST2",
    )


def test_huffman_table_lost_to_damage_is_not_replaced_by_the_standard_one() -> None:
    table_at = PLAIN.index(b"\xff\xc4")
    lost = PLAIN[: table_at + 1] + b"\0" + PLAIN[table_at + 2 :]
    reason, detail = rejection(lost)
    assert reason == "damaged"
    assert detail.startswith("Corrupt JPEG data: ")
    assert detail.endswith("extraneous bytes before marker 0xc4")


def with_frame(marker: int, bits: int = 8, components: int = 3, height_px: int = 96) -> bytes:
    data = bytearray(PLAIN)
    at = PLAIN.index(b"\xff\xc0")
    data[at + 1], data[at + 4], data[at + 9] = marker, bits, components
    data[at + 5 : at + 7] = height_px.to_bytes(2, "big")
    return bytes(data)


@pytest.mark.parametrize("marker", [0xC3, 0xC5, 0xC6, 0xC7, 0xCB, 0xCD, 0xCE, 0xCF])
def test_lossless_and_hierarchical_never_reach_the_decoder(marker: int) -> None:
    """A lossless frame (0xc3) crashes the process with SIGSEGV."""
    expected = f"JPEG frame 0xff{marker:02x} (lossless or hierarchical)"
    assert rejection(with_frame(marker)) == ("unsupported", expected)


def test_other_frames_that_are_not_decoded() -> None:
    assert rejection(with_frame(0xC1, bits=12)) == (
        "unsupported",
        "JPEG of 12 bits a sample, 8 are decoded",
    )
    assert rejection(with_frame(0xC0, components=2)) == (
        "unsupported",
        "JPEG of 2 components, 1, 3 and 4 are decoded",
    )
    assert rejection(with_frame(0xC0, height_px=0)) == (
        "unsupported",
        "JPEG whose height follows its first scan (DNL)",
    )


def test_400_bytes_that_claim_36_million_pixels_are_rejected_by_their_header() -> None:
    data = bytearray(PLAIN[:400])
    at = data.index(b"\xff\xc0")
    data[at + 5 : at + 9] = (11808).to_bytes(2, "big") + (3072).to_bytes(2, "big")
    assert rejection(
        bytes(data), spec=PixelSpec(height_px=16, width_px=16, channels=1, max_pixels=10000000)
    ) == (
        "too_large",
        "3072 x 11808 = 36,274,176 pixels, max_pixels is 10,000,000",
    )
    # Even if the file ends right after the frame's size.
    spec = PixelSpec(height_px=16, width_px=16, channels=1, max_pixels=10000000)
    assert rejection(bytes(data[: at + 10]), spec=spec)[0] == "too_large"


def test_progressive_bomb_is_rejected_by_its_number_of_scans() -> None:
    scans = PROGRESSIVE.count(b"\xff\xda")
    assert (
        decode(
            PROGRESSIVE, PixelSpec(height_px=16, width_px=16, channels=1, max_scans=scans)
        ).format
        == "jpeg"
    )
    assert rejection(
        PROGRESSIVE, spec=PixelSpec(height_px=16, width_px=16, channels=1, max_scans=scans - 1)
    ) == (
        "too_large",
        f"{scans} scans, max_scans is {scans - 1}",
    )
    last = PROGRESSIVE[PROGRESSIVE.rindex(b"\xff\xda") : -2]
    bomb = PROGRESSIVE[:-2] + last * 5000 + PROGRESSIVE[-2:]
    assert rejection(bomb) == ("too_large", f"{5000 + scans:,} scans, max_scans is 100")


def test_progressive_and_restarts_decode_as_baseline_does() -> None:
    expected = decode(PLAIN, GREY_16).pixels
    for options in (
        (cv2.IMWRITE_JPEG_PROGRESSIVE, 1),
        (cv2.IMWRITE_JPEG_RST_INTERVAL, 2),
        (cv2.IMWRITE_JPEG_OPTIMIZE, 1),
    ):
        assert np.array_equal(decode(jpeg(picture(), *options), GREY_16).pixels, expected)


def test_reduced_decode_is_never_below_the_target_and_close_to_the_full_one() -> None:
    rgb = picture(512, 640)
    data = jpeg(rgb)
    with Image.open(io.BytesIO(data)) as image:
        image.draft("L", image.size)
        full = np.asarray(image)
    for height_px, width_px in ((64, 80), (64, 64), (65, 80), (100, 100), (300, 20), (512, 640)):
        got = decode(data, PixelSpec(height_px=height_px, width_px=width_px, channels=1)).pixels[
            ..., 0
        ]
        expected = cv2.resize(full, (width_px, height_px), interpolation=cv2.INTER_AREA)
        assert np.abs(got.astype(int) - expected).mean() < 1


def test_sharp_detail_survives_where_the_reduced_decode_would_lose_it() -> None:
    """A target of 100 x 100 from 128 x 128 must be cut from 7/8 or more, not from 4/8."""
    stripes = np.zeros((128, 128, 3), np.uint8)
    stripes[:, ::4], stripes[:, 1::4] = 255, 255
    got = decode(
        jpeg(stripes, cv2.IMWRITE_JPEG_QUALITY, 95),
        PixelSpec(height_px=100, width_px=100, channels=1),
    ).pixels
    assert int(got.max()) - int(got.min()) > 200


@pytest.mark.parametrize("subsampling", [0, 1, 2])
@pytest.mark.parametrize("channels", [1, 3])
def test_full_size_equals_pillow(subsampling: int, channels: int) -> None:
    data = pillow_jpeg(Image.fromarray(picture()), subsampling=subsampling)
    with Image.open(io.BytesIO(data)) as image:
        image.draft("L" if channels == 1 else "RGB", image.size)  # "L" is then JPEG's own luma
        expected = np.asarray(image).reshape(96, 128, channels)
    got = decode(data, PixelSpec(height_px=96, width_px=128, channels=channels)).pixels
    assert np.abs(got.astype(int) - expected).max() <= 1


def test_grey_file_as_colour() -> None:
    grey = picture()[..., 0]
    data = pillow_jpeg(Image.fromarray(grey), quality=95)
    got = decode(data, PixelSpec(height_px=96, width_px=128, channels=3)).pixels
    assert (got[..., 0] == got[..., 1]).all()
    assert (got[..., 0] == got[..., 2]).all()
    assert np.abs(got[..., 0].astype(int) - grey).mean() < 1


@pytest.mark.parametrize("channels", [1, 3])
def test_rgb_without_ycbcr(channels: int) -> None:
    data = pillow_jpeg(Image.fromarray(picture()), quality=98, keep_rgb=True)
    got = decode(data, PixelSpec(height_px=96, width_px=128, channels=channels)).pixels
    expected = (
        picture() if channels == 3 else cv2.cvtColor(picture(), cv2.COLOR_RGB2GRAY)[..., None]
    )
    assert np.abs(got.astype(int) - expected).mean() < 1.5


def cmyk_of(rgb: np.ndarray) -> np.ndarray:
    """(H, W, 4) inks, with a quarter of the common ink as black."""
    ink = 255 - rgb.astype(np.float64)
    black = ink.min(axis=2, keepdims=True) / 4
    colours = (ink - black) / (255 - black) * 255
    return np.concatenate([colours, black], axis=2).round().astype(np.uint8)


@pytest.mark.parametrize("channels", [1, 3])
@pytest.mark.parametrize("adobe", [True, False])
def test_cmyk_is_inverted_with_and_without_adobe_marker(adobe: bool, channels: int) -> None:
    inks = Image.frombytes("CMYK", (128, 96), cmyk_of(picture()).tobytes())
    data = pillow_jpeg(inks, quality=98)  # with Adobe's marker, and inverted
    if not adobe:
        at = data.index(b"\xff\xee")
        data = data[:at] + data[at + 16 :]
    got = decode(data, PixelSpec(height_px=96, width_px=128, channels=channels)).pixels
    expected = (
        picture() if channels == 3 else cv2.cvtColor(picture(), cv2.COLOR_RGB2GRAY)[..., None]
    )
    assert mean_difference(got, expected) < 2
    if channels == 3:
        assert mean_difference(got, opencv_pixels(data)) < 2
        with Image.open(io.BytesIO(data)) as image:
            assert mean_difference(got, np.asarray(image.convert("RGB"))) < 2


def exif_block(orientation: int, order: str) -> bytes:
    mark = {"little": b"II*\0\x08\0\0\0", "big": b"MM\0*\0\0\0\x08"}[order]
    fields = ((1, 2), (0x0112, 2), (3, 2), (1, 4), (orientation, 2), (0, 2), (0, 4))
    packed = b"".join(
        value.to_bytes(size, "little" if order == "little" else "big") for value, size in fields
    )
    return b"Exif\0\0" + mark + packed


@pytest.mark.parametrize("order", ["little", "big"])
@pytest.mark.parametrize("orientation", range(1, 9))
def test_orientation_in_the_header(order: str, orientation: int) -> None:
    data = pillow_jpeg(Image.fromarray(picture()), exif=exif_block(orientation, order))
    header = read_jpeg_header(data, GREY_16)
    assert header.orientation == orientation
    assert (header.height_px, header.width_px, header.components) == (96, 128, 3)
    decoded = decode(data, GREY_16)
    size = (128, 96) if orientation > 4 else (96, 128)
    assert (decoded.source_height_px, decoded.source_width_px) == size


@pytest.mark.parametrize("cut", range(1, 32))
def test_exif_that_cannot_be_read_leaves_the_picture_as_stored(cut: int) -> None:
    exif = exif_block(6, "little")
    data = pillow_jpeg(Image.fromarray(picture()), exif=exif[: len(exif) - cut])
    assert decode(data, GREY_16).source_width_px in (96, 128)
    data = pillow_jpeg(Image.fromarray(picture()), exif=exif_block(9, "big"))
    assert decode(data, GREY_16).source_width_px == 128
