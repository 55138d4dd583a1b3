"""Damaged files of every format: `decode` returns whole pixels or raises Rejected, ever.

    pytest tests/test_images_fuzz.py
    python tests/test_images_fuzz.py 0 1000000     # seeds from, to: as long as one likes

The mutants are decoded in another process, so that a decoder that crashes fails the test and
names its seed. Each seed is one mutant: a base file and one to four changes, no state between.

What `decode` accepts, a judge must call whole as well:

- JPEG: Pillow's own libjpeg-turbo, and simplejpeg at full size, strict, but for the messages that
  halftone.jpeg documents as harmless. The second is the library that decodes, at another scale.
- PNG: the format's rules, in Python: checksums, and as many inflated bytes as the header asks.
- GIF: an LZW decoder in Python: as many pixels as the first frame asks.
- WebP, BMP, TIFF, PNM: Pillow's strict load, which is the library that decodes, and OpenCV's
  decoder of the same format, which is another one (but for libwebp and libtiff in both). OpenCV
  has its own limits on raw TIFF and on comments in plain PNM: for raw TIFF, as many bytes as the
  picture asks; for plain PNM, Pillow alone.
"""

from __future__ import annotations

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
from halftone.images import REJECT_REASONS, ImageRejectedError, decode, detect_format

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
    """A few hundred bytes each, so that a change often hits something that matters."""
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
    if data[:4] == b"\x89PNG" and rng.random() < 0.7:  # else the checksum stops nearly all
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
    """A PNG with the checksums that its chunks would have, as far as they can be walked."""
    parts, at = [data[:8]], 8
    while at + 12 <= len(data):
        end = at + 8 + int.from_bytes(data[at : at + 4], "big")
        if end + 4 > len(data):
            break
        parts += [data[at:end], zlib.crc32(data[at + 4 : end]).to_bytes(4, "big")]
        at = end + 4
    return b"".join(parts) + data[at:]


def complaint(data: bytes) -> str:
    """What the judge of this format has against the file; "" for nothing."""
    kind = detect_format(data)
    if kind == "jpeg":
        return _jpeg_complaint(data)
    if kind == "png":
        return _png_complaint(data)
    if kind == "gif":
        return _gif_complaint(data)
    against = _pillow_complaint(data)
    if kind == "tiff" and not against:
        page = Image.open(io.BytesIO(data)).tag_v2  # type: ignore[attr-defined]
        if page.get(259, 1) == 1:
            needed_bytes = page[256] * page[257] * page.get(277, 1)
            return "" if sum(page[279]) >= needed_bytes else "TIFF: too few bytes"
    if kind == "pnm" and data[1] in b"123":
        return against
    return against or _opencv_complaint(data)


def _jpeg_complaint(data: bytes) -> str:
    try:
        simplejpeg.decode_jpeg(data, "CMYK" if b"Adobe" in data[:64] else "RGB")
    except ValueError as error:
        if not any(words in str(error) for words in HARMLESS):
            return str(error)
        return ""  # Pillow wants the segments of a header end to end, where libjpeg does not
    return _pillow_complaint(data, "JPEG")


def _pillow_complaint(data: bytes, *formats: str) -> str:
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            Image.open(io.BytesIO(data), formats=formats or None).load()
    except Exception as error:
        return f"Pillow: {error}"
    return ""


def _opencv_complaint(data: bytes) -> str:
    try:
        image = cv2.imdecode(np.frombuffer(data, np.uint8), cv2.IMREAD_COLOR)
    except cv2.error as error:
        return f"OpenCV: {error}"
    return "" if image is not None else "OpenCV: no image"


def _png_complaint(data: bytes) -> str:
    at, header, packed = 8, b"", b""
    while True:
        end = at + 8 + int.from_bytes(data[at : at + 4], "big")
        kind, body = data[at + 4 : at + 8], data[at + 8 : end]
        if end + 4 > len(data):
            return "PNG: cut"
        sound = zlib.crc32(kind + body) == int.from_bytes(data[end : end + 4], "big")
        if not sound and kind in (b"IHDR", b"PLTE", b"tRNS", b"IDAT", b"IEND"):
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
    wanted_bytes = _png_raw_bytes(header)
    return "" if raw_bytes >= wanted_bytes else f"PNG: {raw_bytes} of {wanted_bytes} bytes"


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


def _gif_complaint(data: bytes) -> str:
    at = 13 + (3 << (data[10] & 7) + 1 if data[10] & 0x80 else 0)
    while data[at] != 0x2C:
        at += 2
        while data[at]:
            at += 1 + data[at]
        at += 1
    width_px, height_px = (int.from_bytes(data[at + i : at + i + 2], "little") for i in (5, 7))
    at += 10 + (3 << (data[at + 9] & 7) + 1 if data[at + 9] & 0x80 else 0)
    code_bits, packed, at = data[at], b"", at + 1
    while data[at]:
        packed += data[at + 1 : at + 1 + data[at]]
        at += 1 + data[at]
    pixels = _lzw_pixels(packed, code_bits)
    return "" if pixels >= width_px * height_px else f"GIF: {pixels} pixels of the first frame"


def _lzw_pixels(packed: bytes, code_bits: int) -> int:
    """How many pixels the codes stand for, up to the end code or the first impossible one."""
    clear, stream = 1 << code_bits, int.from_bytes(packed, "little")
    lengths: list[int] = []
    size, last, pixels, left = code_bits + 1, 0, 0, len(packed) * 8
    while left >= size:
        code = stream & ((1 << size) - 1)
        stream, left = stream >> size, left - size
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


def run(first: int, last: int, journal: Path) -> Counter[str]:
    """Decodes the mutants of the seeds first..last - 1; `journal` holds the one at work."""
    counts: Counter[str] = Counter()
    descriptor = os.open(journal, os.O_RDWR | os.O_CREAT)
    for seed in range(first, last):
        os.pwrite(descriptor, b"%-20d" % seed, 0)
        outcome, against = outcome_of(mutant(seed), SPECS[seed % len(SPECS)])
        if against:
            print(f"seed {seed}: {outcome}, but {against}")
            outcome = "unsound"
        counts[outcome] += 1
    return counts


def outcome_of(data: bytes, spec: PixelSpec) -> tuple[str, str]:
    """(reason of rejection or "accepted as " its format, what the judge has against that)."""
    try:
        decoded = decode(data, spec)
    except ImageRejectedError as rejected:
        reason, detail = rejected.reason, rejected.detail
        return reason, "" if reason in REJECT_REASONS and detail else f"detail {detail!r}"
    check_pixels(decoded.pixels, spec)
    return f"accepted as {decoded.format}", complaint(data)


def check_pixels(pixels: np.ndarray, spec: PixelSpec) -> None:
    assert pixels.shape == (spec.height_px, spec.width_px, spec.channels)
    assert pixels.dtype == np.uint8
    assert pixels.flags.c_contiguous


def test_no_mutant_crashes_or_gives_a_row_of_a_broken_file(tmp_path: Path) -> None:
    journal = tmp_path / "seed"
    command = [sys.executable, __file__, "0", str(MUTANTS), str(journal)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=500, check=False)
    at_work = journal.read_text() if journal.exists() else "none"
    assert done.returncode == 0, f"seed {at_work}: {done.stdout[-2000:]} {done.stderr[-2000:]}"
    assert "unsound" not in done.stdout, done.stdout
    assert "accepted" in done.stdout


@pytest.mark.parametrize("name", sorted(BASES))
def test_base_file_is_accepted(name: str) -> None:
    assert decode(BASES[name], SPECS[0]).format == {"p": "pnm"}.get(name[0], "") or name.split()[0]
    assert complaint(BASES[name]) == ""


@given(data=st.binary(max_size=400), name=st.sampled_from(sorted(BASES)))
@settings(max_examples=400, deadline=None)
def test_any_bytes_after_any_magic(data: bytes, name: str) -> None:
    for candidate in (data, BASES[name][:12] + data):
        assert outcome_of(candidate, SPECS[0])[1] == ""


@given(name=st.sampled_from(sorted(BASES)), share=st.floats(0, 1, exclude_max=True))
@settings(max_examples=400, deadline=None)
def test_no_truncation_is_accepted(name: str, share: float) -> None:
    data = BASES[name][: int(share * len(BASES[name]))]
    assert outcome_of(data, SPECS[1])[0] in REJECT_REASONS


if __name__ == "__main__":
    first_seed, last_seed = int(sys.argv[1]), int(sys.argv[2])
    at_work_file = Path(sys.argv[3]) if len(sys.argv) > 3 else Path(gettempdir()) / "fuzz-seed"
    for what, count in sorted(run(first_seed, last_seed, at_work_file).items()):
        print(f"{what}: {count}")
