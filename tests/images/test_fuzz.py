"""Fuzz `decode` with damaged files of every format: it returns pixels or raises ImageRejectedError.

    pytest tests/images/test_fuzz.py
    python tests/images/test_fuzz.py 0 1000000     # first seed, last seed + 1

The mutants are decoded in another process, so that a crash of the decoder fails the test, which
reports the seed. Each seed gives one mutant, a base file with one to four changes, independent of
all others.

An independent check must accept each file that `decode` accepts:

- JPEG: Pillow's own libjpeg-turbo, and simplejpeg at full size, strict, except for the warnings
  that docs/explanation/rejects.md lists as harmless. `decode` uses simplejpeg at another scale.
- PNG: the format's rules, in Python: checksums, and as many inflated bytes as the header requires.
- GIF: an LZW decoder in Python: as many pixels as the first frame requires.
- WebP, BMP, TIFF, PNM: Pillow's strict load, which `decode` uses too, and OpenCV's decoder, which
  is another one (except for libwebp and libtiff in both). OpenCV has its own limits for raw TIFF
  and for comments in plain PNM. Raw TIFF is checked for as many bytes as the picture requires;
  plain PNM by Pillow only.
"""

from __future__ import annotations

import contextlib
import io
import os
import random
import subprocess
import sys
import warnings
import zlib
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from tempfile import gettempdir

import cv2
import numpy as np
import pytest
import simplejpeg
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from halftone.config import PixelSpec
from halftone.images import (
    REJECT_REASONS,
    ImageRejectedError,
    decode,
    decode_preview,
    detect_format,
)

MUTANTS = 60_000
HARMLESS = (
    "extraneous bytes before marker",
    "unknown JFIF revision",
    "Unknown Adobe color transform",
    "Invalid SOS parameters",
)
SPECS = tuple(
    PixelSpec(
        height_px=height_px,
        width_px=width_px,
        channels=channels,
        fit=fit,
        background=37,
        max_pixels=1000000,
    )
    for height_px, width_px in ((8, 8), (5, 40))
    for channels in (1, 3)
    for fit in ("stretch", "crop", "pad")
)


def _encode(image: Image.Image, format_name: str, **options: object) -> bytes:
    buffer = io.BytesIO()
    image.save(buffer, format_name, **options)
    return buffer.getvalue()


def base_files() -> dict[str, bytes]:
    """Small files of a few hundred bytes each, so that a change often hits a relevant byte."""
    y, x = np.mgrid[0:20, 0:27]
    rgb = np.stack([x * 9, y * 12, (x * y) % 256], axis=2).astype(np.uint8)
    colour = Image.fromarray(rgb)
    grey, palette, black = colour.convert("L"), colour.quantize(12), colour.convert("1")
    alpha = colour.convert("RGBA")
    alpha.putalpha(grey)
    deep = Image.fromarray((rgb[..., 0].astype(np.uint16) << 8) + 77)
    turned = Image.Exif()
    turned[0x0112] = 6

    def jpeg(*options: int) -> bytes:
        return bytes(cv2.imencode(".jpg", rgb, list(options))[1])

    files = {
        "jpeg": jpeg(cv2.IMWRITE_JPEG_QUALITY, 80),
        "jpeg grey": _encode(grey, "JPEG", exif=turned),
        "jpeg 444": _encode(colour, "JPEG", subsampling=0, exif=turned),
        "jpeg progressive": jpeg(cv2.IMWRITE_JPEG_PROGRESSIVE, 1),
        "jpeg restarts": jpeg(cv2.IMWRITE_JPEG_RST_INTERVAL, 1),
        "jpeg cmyk": _encode(colour.convert("CMYK"), "JPEG"),
        "png": _encode(colour, "PNG", exif=turned),
        "png grey": _encode(grey, "PNG", transparency=8),
        "png bits": _encode(black, "PNG"),
        "png palette": _encode(palette, "PNG", transparency=3),
        "png alpha": _encode(alpha, "PNG"),
        "png 16": _encode(deep, "PNG"),
        "webp": _encode(colour, "WEBP", exif=turned),
        "webp lossless": _encode(colour, "WEBP", lossless=True),
        "webp alpha": _encode(alpha, "WEBP"),
        "bmp": _encode(colour, "BMP"),
        "bmp palette": _encode(palette, "BMP"),
        "gif": _encode(palette, "GIF"),
        "gif frames": _encode(palette, "GIF", save_all=True, append_images=[grey, black]),
        "ppm": _encode(colour, "PPM"),
        "pgm": _encode(grey, "PPM"),
        "pbm": _encode(black, "PPM"),
        "plain ppm": b"P3\n# text\n3 2\n255\n" + b" ".join(b"%d" % i for i in range(18)) + b"\n",
    }
    for packing in ("raw", "tiff_lzw", "tiff_adobe_deflate", "packbits", "jpeg"):
        files[f"tiff {packing}"] = _encode(colour, "TIFF", compression=packing, tiffinfo={274: 8})
    return files


BASES = base_files()


def mutant(seed: int) -> bytes:
    rng = random.Random(seed)
    data = bytearray(rng.choice(list(BASES.values())))
    for _ in range(rng.choice((1, 1, 1, 2, 3, 4))):
        if data:
            data = bytearray(rng.choice(CHANGES)(data, rng))
    if data[:4] == b"\x89PNG" and rng.random() < 0.7:  # else checksums reject nearly all mutants
        data = bytearray(_with_checksums(bytes(data)))
    return bytes(data)


def _flip_bit(data: bytearray, rng: random.Random) -> bytes:
    data[rng.randrange(len(data))] ^= 1 << rng.randrange(8)
    return data


def _flip_header_bit(data: bytearray, rng: random.Random) -> bytes:
    data[rng.randrange(min(64, len(data)))] ^= 1 << rng.randrange(8)
    return data


def _change_byte(data: bytearray, rng: random.Random) -> bytes:
    data[rng.randrange(len(data))] = rng.choice((0, 1, 0x7F, 0x80, 0xFF, rng.randrange(256)))
    return data


def _cut(data: bytearray, rng: random.Random) -> bytes:
    return data[: rng.randrange(len(data))]


def _cut_a_little(data: bytearray, rng: random.Random) -> bytes:
    return data[: -rng.randrange(1, 9)]


def _drop(data: bytearray, rng: random.Random) -> bytes:
    at = rng.randrange(len(data))
    return data[:at] + data[at + rng.randrange(1, 32) :]


def _insert(data: bytearray, rng: random.Random) -> bytes:
    at = rng.randrange(len(data))
    return data[:at] + bytes(rng.randrange(256) for _ in range(rng.randrange(1, 16))) + data[at:]


def _repeat(data: bytearray, rng: random.Random) -> bytes:
    at, size = rng.randrange(len(data)), rng.randrange(1, 64)
    return data[:at] + data[at : at + size] * rng.randrange(2, 4) + data[at + size :]


def _swap(data: bytearray, rng: random.Random) -> bytes:
    a, b, c, d = sorted(rng.randrange(len(data) + 1) for _ in range(4))
    return data[:a] + data[c:d] + data[b:c] + data[a:b] + data[d:]


def _swap_jpeg_segments(data: bytearray, rng: random.Random) -> bytes:
    marks = [i for i in range(len(data) - 1) if data[i] == 0xFF and data[i + 1] >= 0xC0]
    if len(marks) < 3:
        return _swap(data, rng)
    a, b, c = sorted(rng.sample(marks, 3))
    return data[:a] + data[b:c] + data[a:b] + data[c:]


def _change_jpeg_marker(data: bytearray, rng: random.Random) -> bytes:
    marks = [i for i in range(len(data) - 1) if data[i] == 0xFF and data[i + 1] >= 0xC0]
    if not marks:
        return _change_byte(data, rng)
    data[rng.choice(marks) + 1] = rng.randrange(0xC0, 0x100)
    return data


def _splice(data: bytearray, rng: random.Random) -> bytes:
    other = rng.choice(list(BASES.values()))
    return data[: rng.randrange(len(data))] + other[rng.randrange(len(other)) :]


def _fill(data: bytearray, rng: random.Random) -> bytes:
    at, size = rng.randrange(len(data)), rng.randrange(1, 40)
    filler = bytes((rng.choice((0, 0xFF)),)) * len(data[at : at + size])
    return data[:at] + filler + data[at + size :]


CHANGES: tuple[Callable[[bytearray, random.Random], bytes], ...] = (
    _flip_bit,
    _flip_bit,
    _flip_header_bit,
    _change_byte,
    _cut,
    _cut_a_little,
    _drop,
    _insert,
    _repeat,
    _swap,
    _swap_jpeg_segments,
    _change_jpeg_marker,
    _splice,
    _fill,
)


def _with_checksums(data: bytes) -> bytes:
    """Correct the checksums of a PNG's chunks, as far as the chunks can be parsed."""
    parts, at = [data[:8]], 8
    while at + 12 <= len(data):
        end = at + 8 + int.from_bytes(data[at : at + 4], "big")
        if end + 4 > len(data):
            break
        parts += [data[at:end], zlib.crc32(data[at + 4 : end]).to_bytes(4, "big")]
        at = end + 4
    return b"".join(parts) + data[at:]


def find_defect(data: bytes) -> str:
    """Describe the defect that the format's independent check finds; "" for none."""
    kind = detect_format(data)
    if kind == "jpeg":
        return _jpeg_defect(data)
    if kind == "png":
        return _png_defect(data)
    if kind == "gif":
        return _gif_defect(data)
    defect = _pillow_defect(data)
    if kind == "tiff" and not defect:
        page = Image.open(io.BytesIO(data)).tag_v2  # type: ignore[attr-defined]
        if page.get(259, 1) == 1:
            needed_bytes = page[256] * page[257] * page.get(277, 1)
            return "" if sum(page[279]) >= needed_bytes else "TIFF: too few bytes"
    if kind == "pnm" and data[1] in b"123":
        return defect
    return defect or _opencv_defect(data)


def _jpeg_defect(data: bytes, end_markers: int = 0) -> str:
    """Decode a file whose end marker is missing with one, which makes libjpeg count the blocks.

    Args:
        end_markers: how many were appended; a cut segment at the end swallows the first.
    """
    try:
        simplejpeg.decode_jpeg(data, "CMYK" if b"Adobe" in data[:64] else "RGB")
    except ValueError as error:
        if "Premature end of JPEG file" in str(error) and end_markers < 2:
            return _jpeg_defect(data + b"\xff\xd9", end_markers + 1)
        if "two SOI markers" in str(error):  # the second is in place of the end marker
            return _jpeg_defect(data[: data.rfind(b"\xff\xd8")])
        if "Could not determine subsampling" in str(error):
            return _opencv_defect(data)
        if not any(words in str(error) for words in HARMLESS):
            return str(error)
        return ""  # Pillow, unlike libjpeg, rejects bytes between the header's segments
    return _pillow_defect(data, "JPEG")


def _pillow_defect(data: bytes, *formats: str) -> str:
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            Image.open(io.BytesIO(data), formats=formats or None).load()
    except Exception as error:
        return f"Pillow: {error}"
    return ""


def _opencv_defect(data: bytes) -> str:
    try:
        image = cv2.imdecode(np.frombuffer(data, np.uint8), cv2.IMREAD_COLOR)
    except cv2.error as error:
        return f"OpenCV: {error}"
    return "" if image is not None else "OpenCV: no image"


def _png_defect(data: bytes) -> str:
    at, header, packed = 8, b"", b""
    while True:
        end = at + 8 + int.from_bytes(data[at : at + 4], "big")
        kind, body = data[at + 4 : at + 8], data[at + 8 : end]
        if end + 4 > len(data):
            return "PNG: cut"
        is_intact = zlib.crc32(kind + body) == int.from_bytes(data[end : end + 4], "big")
        if not is_intact and kind in (b"IHDR", b"PLTE", b"tRNS", b"IDAT", b"IEND"):
            return f"PNG: checksum of {kind!r}"
        if kind == b"IEND":
            break
        header = header or (body if kind == b"IHDR" else b"")
        packed += body if kind == b"IDAT" else b""
        at = end + 4
    try:
        raw_bytes = len(zlib.decompressobj().decompress(packed))
    except zlib.error as error:
        return f"PNG: {error}"
    expected_bytes = _png_raw_bytes(header)
    return "" if raw_bytes >= expected_bytes else f"PNG: {raw_bytes} of {expected_bytes} bytes"


def _png_raw_bytes(header: bytes) -> int:
    width_px, height_px = (int.from_bytes(header[i : i + 4], "big") for i in (0, 4))
    bits_per_px = header[8] * {0: 1, 2: 3, 3: 1, 4: 2, 6: 4}[header[9]]
    passes = ((0, 0, 1, 1),)
    if header[12]:  # Adam7: first column, first row, steps
        passes = ((0, 0, 8, 8), (4, 0, 8, 8), (0, 4, 4, 8), (2, 0, 4, 4), (0, 2, 2, 4))
        passes += ((1, 0, 2, 2), (0, 1, 1, 2))
    total = 0
    for left, top, step_x, step_y in passes:
        columns, rows = -(-(width_px - left) // step_x), -(-(height_px - top) // step_y)
        if columns > 0 and rows > 0:
            total += rows * (1 + (columns * bits_per_px + 7) // 8)
    return total


def _gif_defect(data: bytes) -> str:
    at = 13 + (3 << (data[10] & 7) + 1 if data[10] & 0x80 else 0)
    while data[at] != 0x2C:
        at += 2 if data[at] else 0
        while data[at]:
            at += 1 + data[at]
        at += 1
    width_px, height_px = (int.from_bytes(data[at + i : at + i + 2], "little") for i in (5, 7))
    at += 10 + (3 << (data[at + 9] & 7) + 1 if data[at + 9] & 0x80 else 0)
    code_bits, packed, at = data[at], b"", at + 1
    while at < len(data) and data[at]:
        packed += data[at + 1 : at + 1 + data[at]]
        at += 1 + data[at]
    pixels = _lzw_pixels(packed, code_bits)
    return "" if pixels >= width_px * height_px else f"GIF: {pixels} pixels of the first frame"


def _lzw_pixels(packed: bytes, code_bits: int) -> int:
    """Count the pixels up to the end code or the first invalid code."""
    clear, stream = 1 << code_bits, int.from_bytes(packed, "little")
    lengths: list[int] = []
    size, last, pixels, bits_left = code_bits + 1, 0, 0, len(packed) * 8
    while bits_left >= size:
        code = stream & ((1 << size) - 1)
        stream, bits_left = stream >> size, bits_left - size
        if code == clear:
            lengths, size, last = [1] * clear + [0, 0], code_bits + 1, 0
            continue
        if code == clear + 1 or code > len(lengths) or (code == len(lengths) and not last):
            break
        if last and len(lengths) < 4096:
            lengths.append(last + 1)
        last = lengths[code]
        pixels += last
        if len(lengths) == 1 << size and size < 12:
            size += 1
    return pixels


def decode_mutants(first: int, last: int, seed_file: Path) -> Counter[str]:
    """Decode the mutants of the seeds first..last - 1; write the current seed to `seed_file`."""
    counts: Counter[str] = Counter()
    descriptor = os.open(seed_file, os.O_RDWR | os.O_CREAT)
    for seed in range(first, last):
        os.pwrite(descriptor, b"%-20d" % seed, 0)
        outcome, defect = decode_and_check(mutant(seed), SPECS[seed % len(SPECS)])
        if defect:
            print(f"seed {seed}: {outcome}, but {defect}")
            outcome = "defect"
        counts[outcome] += 1
    return counts


def decode_and_check(data: bytes, spec: PixelSpec) -> tuple[str, str]:
    """Return (reason of rejection or "accepted as FORMAT", defect that `decode` missed or "")."""
    try:
        decoded = decode(data, spec)
    except ImageRejectedError as rejected:
        reason, detail = rejected.reason, rejected.detail
        return reason, "" if reason in REJECT_REASONS and detail else f"detail {detail!r}"
    check_pixels(decoded.pixels, spec)
    return f"accepted as {decoded.format}", find_defect(data)


def check_pixels(pixels: np.ndarray, spec: PixelSpec) -> None:
    assert pixels.shape == (spec.height_px, spec.width_px, spec.channels)
    assert pixels.dtype == np.uint8
    assert pixels.flags.c_contiguous


@pytest.mark.parametrize(
    ("first", "last"), [(0, 5_000), pytest.param(5_000, MUTANTS, marks=pytest.mark.slow)]
)
def test_no_mutant_crashes_the_decoder_and_no_broken_file_is_accepted(
    tmp_path: Path, first: int, last: int
) -> None:
    seed_file = tmp_path / "seed"
    command = [sys.executable, __file__, str(first), str(last), str(seed_file)]
    process = subprocess.run(command, capture_output=True, text=True, timeout=500, check=False)
    seed = seed_file.read_text() if seed_file.exists() else "none"
    output = f"{process.stdout[-2000:]} {process.stderr[-2000:]}"
    assert process.returncode == 0, f"seed {seed}: {output}"
    assert "defect" not in process.stdout, process.stdout
    assert "accepted" in process.stdout


@pytest.mark.parametrize("name", sorted(BASES))
def test_base_file_is_accepted(name: str) -> None:
    assert decode(BASES[name], SPECS[0]).format == {"p": "pnm"}.get(name[0], "") or name.split()[0]
    assert find_defect(BASES[name]) == ""


@given(data=st.binary(max_size=400), name=st.sampled_from(sorted(BASES)))
@settings(max_examples=400)
def test_any_bytes_after_any_magic(data: bytes, name: str) -> None:
    for candidate in (data, BASES[name][:12] + data):
        assert decode_and_check(candidate, SPECS[0])[1] == ""


@given(name=st.sampled_from(sorted(BASES)), share=st.floats(0, 1, exclude_max=True))
@settings(max_examples=400)
def test_no_truncation_is_accepted_unless_all_pixels_are_there(name: str, share: float) -> None:
    data = BASES[name][: int(share * len(BASES[name]))]
    outcome, defect = decode_and_check(data, SPECS[1])
    assert not defect
    if outcome not in REJECT_REASONS:
        # Cut behind the GIF's first frame, within the JPEG's end marker.
        assert outcome in ("accepted as gif", "accepted as jpeg")
        whole = decode(BASES[name], SPECS[1]).pixels
        assert np.array_equal(decode(data, SPECS[1]).pixels, whole)


def test_no_decoder_prints_to_the_terminal(capfd: pytest.CaptureFixture[str]) -> None:
    """libpng, libjpeg and libtiff print from C code, which sys.stderr does not see."""
    for seed in range(1500):
        data = mutant(seed)
        decode_preview(data, SPECS[0])
        with contextlib.suppress(ImageRejectedError):
            decode(data, SPECS[0])
    assert capfd.readouterr() == ("", "")


if __name__ == "__main__":
    first_seed, last_seed = int(sys.argv[1]), int(sys.argv[2])
    current_seed_file = Path(sys.argv[3]) if len(sys.argv) > 3 else Path(gettempdir()) / "fuzz-seed"
    for outcome, count in sorted(decode_mutants(first_seed, last_seed, current_seed_file).items()):
        print(f"{outcome}: {count}")
