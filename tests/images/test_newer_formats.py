"""HEIC, AVIF, JPEG XL and JPEG 2000 against other decoders, and what of them is rejected.

The other decoders are those of ffmpeg, which has its own for HEVC and JPEG 2000, and djxl.
"""

from __future__ import annotations

import contextlib
import io
import subprocess
from collections.abc import Callable
from pathlib import Path
from types import ModuleType

import cv2
import imageio_ffmpeg
import numpy as np
import pillow_heif
import pillow_jxl  # noqa: F401  # Pillow writes JPEG XL after this import
import pytest
from PIL import Image

import rejected_images
from halftone.config import PixelSpec
from halftone.images import ImageRejectedError, decode, decoder_packages
from halftone.images.jxl_header import read_jxl_header

pillow_heif.register_heif_opener()
HEIGHT_PX, WIDTH_PX = 48, 64
SPEC = PixelSpec(height_px=HEIGHT_PX, width_px=WIDTH_PX, channels=3)
ROWS, COLUMNS = np.mgrid[:HEIGHT_PX, :WIDTH_PX]
WAVES = 128 + 60 * np.sin(COLUMNS / 9 + ROWS / 5)
RGB = np.stack([COLUMNS * 4, ROWS * 5, WAVES], axis=-1).astype(np.uint8)
PICTURE = Image.fromarray(RGB)
# The stored picture for an EXIF orientation, as Pillow's transpose of the upright one.
STORED: dict[int, Callable[[np.ndarray], np.ndarray]] = {
    1: lambda a: a,
    2: np.fliplr,
    3: lambda a: np.rot90(a, 2),
    4: np.flipud,
    5: lambda a: a.transpose(1, 0, 2),
    6: lambda a: np.rot90(a, 1),
    7: lambda a: np.rot90(a, 2).transpose(1, 0, 2),
    8: lambda a: np.rot90(a, -1),
}


def encoded(format_name: str, image: Image.Image = PICTURE, **options: object) -> bytes:
    buffer = io.BytesIO()
    image.save(buffer, format_name, **options)
    return buffer.getvalue()


FILES = {
    "heic": encoded("HEIF", quality=90, chroma=444),
    "avif": encoded("AVIF", quality=90, subsampling="4:4:4"),
    "jxl": encoded("JXL", lossless=True),
    "jxl lossy": encoded("JXL", quality=90),
    "jxl container": encoded("JXL", use_container=True),
    "jpeg2000": encoded("JPEG2000"),
    "jpeg2000 lossy": encoded("JPEG2000", irreversible=True, quality_layers=[12]),
    "jpeg2000 codestream": encoded("JPEG2000", no_jp2=True),
    "jpeg2000 tiles": encoded("JPEG2000", tile_size=(32, 32)),
}
LOSSLESS = ("jxl", "jpeg2000", "jpeg2000 codestream", "jpeg2000 tiles")


def rejection(data: bytes, spec: PixelSpec = SPEC) -> tuple[str, str]:
    return rejected_images.rejection(data, spec)


def difference(first: np.ndarray, second: np.ndarray) -> np.ndarray:
    return np.abs(first.astype(int) - second.astype(int))


def ffmpeg_pixels(data: bytes, folder: Path) -> np.ndarray:
    """(48, 64, 3) uint8 RGB."""
    source = folder / "picture"
    source.write_bytes(data)
    command = [imageio_ffmpeg.get_ffmpeg_exe(), "-v", "error", "-i", str(source)]
    command += ["-frames:v", "1", "-f", "rawvideo", "-pix_fmt", "rgb24", "-"]
    raw = subprocess.run(command, capture_output=True, check=True, stdin=subprocess.DEVNULL).stdout
    # HEVC is coded in whole blocks, and ffmpeg does not read the file's crop.
    return np.frombuffer(raw, np.uint8).reshape(-1, WIDTH_PX, 3)[:HEIGHT_PX]


@pytest.mark.parametrize("name", FILES)
def test_every_format_gives_the_picture(name: str) -> None:
    decoded = decode(FILES[name], SPEC)
    assert decoded[1:] == (HEIGHT_PX, WIDTH_PX, name.split()[0])
    assert decoded.pixels.flags.c_contiguous
    assert difference(decoded.pixels, RGB).mean() <= (0 if name in LOSSLESS else 2)


@pytest.mark.parametrize(
    ("name", "largest"),
    # ffmpeg converts YCbCr to RGB with other rounding.
    [("heic", 3), ("avif", 3), ("jpeg2000", 0), ("jpeg2000 lossy", 1), ("jpeg2000 tiles", 0)],
)
def test_ffmpeg_gives_the_same_pixels(name: str, largest: int, tmp_path: Path) -> None:
    ours = decode(FILES[name], SPEC).pixels
    assert difference(ours, ffmpeg_pixels(FILES[name], tmp_path)).max() <= largest


def run_djxl(data: bytes, folder: Path) -> np.ndarray:
    (folder / "picture.jxl").write_bytes(data)
    command = ["djxl", str(folder / "picture.jxl"), str(folder / "picture.png")]
    subprocess.run(command, check=True, capture_output=True)
    return np.asarray(Image.open(folder / "picture.png"))


@pytest.mark.needs("djxl")
@pytest.mark.parametrize("name", ["jxl lossy", "jxl container"])
def test_djxl_gives_the_same_pixels(name: str, tmp_path: Path) -> None:
    pixels = run_djxl(FILES[name], tmp_path)
    assert difference(decode(FILES[name], SPEC).pixels, pixels).max() <= 1


@pytest.mark.parametrize("orientation", range(1, 9))
@pytest.mark.parametrize("name", ["HEIF", "AVIF"])
def test_the_rotation_of_a_file_is_applied_once(name: str, orientation: int) -> None:
    exif = Image.Exif()
    exif[0x0112] = orientation
    stored = Image.fromarray(np.ascontiguousarray(STORED[orientation](RGB)))
    options: dict[str, object] = {"chroma": 444} if name == "HEIF" else {"subsampling": "4:4:4"}
    if name == "HEIF":
        stored.info["exif"] = exif.tobytes()
    else:
        options["exif"] = exif
    data = encoded(name, stored, quality=90, **options)
    decoded = decode(data, SPEC)
    assert (decoded.source_height_px, decoded.source_width_px) == (HEIGHT_PX, WIDTH_PX)
    assert difference(decoded.pixels, RGB).mean() < 2
    assert (b"irot" in data or b"imir" in data) == (orientation != 1)


@pytest.mark.parametrize("name", ["HEIF", "AVIF"])
def test_exif_of_a_file_without_a_rotation_turns_nothing(name: str) -> None:
    exif = Image.Exif()
    exif[0x0113] = 6
    data = encoded(name, exif=exif, quality=90)
    entry = b"\x13\x01\x03\0\1\0\0\0\6\0" if b"II*\0" in data else b"\1\x13\0\3\0\0\0\1\0\6"
    assert data.count(entry) == 1
    turned = data.replace(entry, entry.replace(b"\x13", b"\x12"))
    assert difference(decode(turned, SPEC).pixels, decode(data, SPEC).pixels).max() == 0


@pytest.mark.needs("djxl")
def test_the_rotation_of_jpeg_xl_is_applied_once(tmp_path: Path) -> None:
    exif = Image.Exif()
    exif[0x0112] = 6
    stored = Image.fromarray(np.ascontiguousarray(STORED[6](RGB)))
    jpeg = tmp_path / "turned.jpg"
    jpeg.write_bytes(encoded("JPEG", stored, exif=exif, quality=97, subsampling=0))
    for options in (["-j", "1"], ["-j", "0", "-d", "0.5"]):  # as a JPEG, and as pixels
        packed = tmp_path / "turned.jxl"
        command = ["cjxl", str(jpeg), str(packed), *options]
        subprocess.run(command, check=True, capture_output=True)
        decoded = decode(packed.read_bytes(), SPEC)
        assert (decoded.source_height_px, decoded.source_width_px) == (HEIGHT_PX, WIDTH_PX)
        assert difference(decoded.pixels, RGB).mean() < 3


@pytest.mark.parametrize("name", ["HEIF", "AVIF", "JXL", "JPEG2000"])
def test_alpha_lies_over_the_background(name: str) -> None:
    image = PICTURE.copy()
    image.putalpha(Image.fromarray(np.repeat(np.uint8([[0, 255]]), 32, 1).repeat(48, 0)))
    options: dict[str, object] = {
        "HEIF": {"quality": -1, "chroma": 444},
        "AVIF": {"quality": 100, "subsampling": "4:4:4"},
        "JXL": {"lossless": True},
    }.get(name, {})
    pixels = decode(encoded(name, image, **options), SPEC.model_copy(update={"background": 200}))
    assert (pixels.pixels[:, :31] == 200).all()
    assert difference(pixels.pixels[:, 33:], RGB[:, 33:]).mean() < 2


def test_samples_of_16_bits_lose_their_lower_ones() -> None:
    deep = (ROWS * 1000 + COLUMNS * 250).astype(np.uint16)
    spec = SPEC.model_copy(update={"channels": 1})
    jp2 = bytes(cv2.imencode(".jp2", deep)[1])
    assert difference(decode(jp2, spec).pixels[..., 0], deep >> 8).max() <= 1
    ten_bits = pillow_heif.from_bytes("I;16", (WIDTH_PX, HEIGHT_PX), deep.tobytes())
    buffer = io.BytesIO()
    ten_bits.save(buffer, quality=-1)
    assert difference(decode(buffer.getvalue(), spec).pixels[..., 0], deep >> 8).max() <= 2


@pytest.mark.parametrize("name", ["HEIF", "AVIF"])
def test_the_first_picture_of_several(name: str) -> None:
    others = [Image.new("RGB", (WIDTH_PX, HEIGHT_PX), grey) for grey in ("white", "black")]
    data = encoded(name, save_all=True, append_images=others, quality=90)
    assert difference(decode(data, SPEC).pixels, RGB).mean() < 3


@pytest.mark.parametrize("name", FILES)
def test_no_truncated_file_is_accepted(name: str) -> None:
    data = FILES[name]
    reasons = set()
    for length in {12, *range(13, len(data), max(1, len(data) // 60)), len(data) - 1}:
        reasons.add(rejection(data[:length])[0])
    # A bare codestream of JPEG XL does not say how long it is.
    is_bare = name in ("jxl", "jxl lossy")
    assert reasons <= ({"damaged", "truncated"} if is_bare else {"truncated", "damaged"})
    assert is_bare or rejection(data[: len(data) // 2])[0] == "truncated"


def test_jpeg_xl_reports_flipped_bits() -> None:
    """Most of them: those of a header may give another valid picture."""
    data = FILES["jxl"]
    rejected = 0
    for at in range(60, len(data), len(data) // 50):
        flipped = bytearray(data)
        flipped[at] ^= 16
        try:
            decode(bytes(flipped), SPEC)
        except ImageRejectedError:
            rejected += 1
    assert rejected >= 45


def bits_of(*fields: tuple[int, int]) -> bytes:
    """A JPEG XL codestream that begins with fields of (value, bits)."""
    value = at = 0
    for number, count in fields:
        value |= number << at
        at += count
    return b"\xff\x0a" + value.to_bytes(64, "little")


def test_the_size_is_checked_before_pixels_are_decoded() -> None:
    side = 40_000
    jxl = bits_of((0, 1), (2, 2), (side - 1, 18), (1, 3))  # square
    assert (read_jxl_header(jxl).width_px, read_jxl_header(jxl).height_px) == (side, side)
    jp2 = bytearray(FILES["jpeg2000 codestream"])
    jp2[8:16] = side.to_bytes(4, "big") * 2
    expected = "too_large", "40000 x 40000 = 1,600,000,000 pixels, max_pixels is 100,000,000"
    assert rejection(jxl) == expected
    assert rejection(bytes(jp2)) == expected
    few = SPEC.model_copy(update={"max_pixels": 3000})
    for name in FILES:
        detail = "64 x 48 = 3,072 pixels, max_pixels is 3,000"
        assert rejection(FILES[name], few) == ("too_large", detail)


@pytest.mark.parametrize(
    ("fields", "expected"),
    [
        ([(1, 1), (7, 5), (0, 3), (8, 5), (1, 1)], (72, 64)),  # all else has its default
        ([(1, 1), (8, 5), (5, 3), (1, 1)], (128, 72)),  # 16 : 9
        ([(0, 1), (1, 2), (999, 13), (7, 3), (1, 1)], (2000, 1000)),  # 2 : 1
        ([(0, 1), (0, 2), (299, 9), (0, 3), (0, 2), (399, 9), (1, 1)], (400, 300)),
    ],
)
def test_sizes_in_the_header_of_jpeg_xl(
    fields: list[tuple[int, int]], expected: tuple[int, int]
) -> None:
    header = read_jxl_header(bits_of(*fields))
    assert (header.width_px, header.height_px, header.unsupported) == (*expected, "")


SIZE = ((1, 1), (7, 5), (1, 3), (0, 1))  # 64 x 64, values follow
BITS_8, ONE_CHANNEL = ((0, 1), (0, 2)), (1, 2)


@pytest.mark.parametrize(
    ("fields", "detail"),
    [
        ([(1, 1), (0, 3), (0, 1), (0, 1), (1, 1)], "JPEG XL with an animation"),
        ([(0, 1), (1, 1), (0, 2), (7, 4)], "JPEG XL with float samples"),
        (
            [(0, 1), *BITS_8, (1, 1), ONE_CHANNEL, (0, 1), (2, 2), (2, 4), *BITS_8, (0, 4)],
            "JPEG XL with black",
        ),
    ],
)
def test_jpeg_xl_that_is_not_shown_as_it_is(fields: list[tuple[int, int]], detail: str) -> None:
    assert rejection(bits_of(*SIZE, *fields)) == ("unsupported", detail)


def test_premultiplied_alpha_of_jpeg_xl_is_seen() -> None:
    channel = [(0, 1), (0, 2), *BITS_8, (0, 2), (0, 2), (1, 1)]
    header = read_jxl_header(bits_of(*SIZE, (0, 1), *BITS_8, (1, 1), ONE_CHANNEL, *channel))
    assert header == (64, 64, "", True)


def with_component(at: int, value: int) -> bytes:
    data = bytearray(FILES["jpeg2000 codestream"])
    data[42 + at] = value
    return bytes(data)


@pytest.mark.parametrize(
    ("data", "expected"),
    [
        (with_component(0, 3), ("unsupported", "JPEG 2000 of different components")),
        (
            encoded("JPEG2000", PICTURE.convert("L"), no_jp2=True).replace(
                b"\0\1\7\1\1", b"\0\1\3\1\1"
            ),
            ("unsupported", "JPEG 2000 of 4 bits, unsigned; 8 to 16, unsigned, are decoded"),
        ),
        (
            FILES["jpeg2000 codestream"][:40] + b"\0\7" + FILES["jpeg2000 codestream"][42:],
            ("unsupported", "JPEG 2000 of 7 components"),
        ),
        (
            b"\0\0\0\x18ftyphevc\0\0\0\0hevcmsf1" + b"\0\0\0\x08moov" + b"\0\0\0\x08mdat",
            ("unsupported", "HEIC sequence without a still picture"),
        ),
        (
            b"\0\0\0\x18ftypisom\0\0\0\0isommp41" + b"\0\0\0\x08moov",
            ("unsupported", "ISO media of brand 'isom' is not decoded"),
        ),
        (
            b"\0\0\0\x0cJXL \r\n\x87\n\0\0\0\x02abcd",
            ("damaged", "JPEG XL with a box of 2 bytes at 12"),
        ),
    ],
)
def test_variants_that_are_rejected(data: bytes, expected: tuple[str, str]) -> None:
    assert rejection(data) == expected


def test_a_brand_is_found_among_the_compatible_ones() -> None:
    heic = FILES["heic"].replace(b"ftypheic", b"ftypmif1", 1)
    assert b"heix" in heic[16:40]
    assert decode(heic, SPEC).format == "heic"


@pytest.mark.parametrize(
    ("name", "package"),
    [("heic", "HEIC needs pillow-heif"), ("jxl", "JPEG XL needs pillow-jxl-plugin")],
)
def test_without_its_package_a_file_is_rejected(
    name: str, package: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(decoder_packages.importlib.util, "find_spec", lambda _: None)
    detail = f"{package}; run: pip install 'halftone[formats]'"
    assert rejection(FILES[name]) == ("unsupported", detail)


def test_without_avif_in_pillow_a_file_is_rejected(monkeypatch: pytest.MonkeyPatch) -> None:
    features: ModuleType = decoder_packages.features
    monkeypatch.setattr(features, "check", lambda _: False)
    detail = "AVIF needs pillow 11.3 or later; run: pip install 'halftone[formats]'"
    assert rejection(FILES["avif"]) == ("unsupported", detail)


def test_no_decoder_prints_to_the_terminal(capfd: pytest.CaptureFixture[str]) -> None:
    for data in FILES.values():
        for at in range(40, len(data), max(1, len(data) // 20)):
            changed = bytearray(data)
            changed[at] ^= 0x55
            for candidate in (bytes(changed), data[:at]):
                with contextlib.suppress(ImageRejectedError):
                    decode(candidate, SPEC)
    assert capfd.readouterr() == ("", "")
