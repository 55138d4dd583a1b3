"""Hundreds of variants of each format against the picture that the test wrote.

Pillow and OpenCV decode each file too. Both err for some variants, so they are not the measure; but
where they agree with each other, this decoder must agree with them.
"""

from __future__ import annotations

import io
import random
from collections.abc import Callable, Iterator
from typing import NamedTuple, Optional

import cv2
import numpy as np
import pytest
from PIL import Image, ImageOps

from halftone.config import PixelSpec
from halftone.images import ImageRejectedError, decode
from picture_files import bmp as bmp_files
from picture_files import gif as gif_files
from picture_files import png as png_files
from picture_files import tiff as tiff_files
from picture_files.tiff import Layout, tiff_of_parts, tiff_of_samples

HEIGHT_PX, WIDTH_PX = 19, 27
BACKGROUND = 90
SPEC = PixelSpec(height_px=HEIGHT_PX, width_px=WIDTH_PX, channels=3, background=BACKGROUND)
TURNED_SPEC = PixelSpec(height_px=WIDTH_PX, width_px=HEIGHT_PX, channels=3, background=BACKGROUND)
# The stored array of a picture, by EXIF orientation.
STORED: dict[int, Callable[[np.ndarray], np.ndarray]] = {
    1: lambda a: a,
    2: lambda a: a[:, ::-1],
    3: lambda a: a[::-1, ::-1],
    4: lambda a: a[::-1],
    5: lambda a: a.swapaxes(0, 1),
    6: lambda a: np.rot90(a, 1),
    7: lambda a: np.rot90(a, 2).swapaxes(0, 1),
    8: lambda a: np.rot90(a, -1),
}


class Case(NamedTuple):
    name: str
    data: bytes
    picture: np.ndarray  # (h, w, 3) RGB over BACKGROUND, 0..255, not rounded
    tolerance: float = 1.0  # largest difference of one sample
    has_alpha: bool = False
    others_err: str = ""  # why Pillow and OpenCV may agree on another picture


def random_values(name: str, samples: int, bits: int, height_px: int = HEIGHT_PX) -> np.ndarray:
    seed = sum(i * ord(letter) for i, letter in enumerate(name))
    shape = (height_px, WIDTH_PX, samples)
    return np.random.default_rng(seed).integers(0, 1 << bits, shape, dtype=np.int64)


def over_background(colour: np.ndarray, alpha: Optional[np.ndarray]) -> np.ndarray:
    """Colour (h, w, 1 or 3) in 0..1, alpha (h, w, 1) in 0..1 -> (h, w, 3) in 0..255."""
    colour = np.broadcast_to(colour, (*colour.shape[:2], 3)) * 255
    return colour if alpha is None else colour * alpha + BACKGROUND * (1 - alpha)


COLOURS = {
    tiff_files.WHITE_IS_ZERO: 1,
    tiff_files.BLACK_IS_ZERO: 1,
    tiff_files.RGB: 3,
    tiff_files.PALETTE: 1,
    tiff_files.CMYK: 4,
}
TIFF_DEPTHS = {
    tiff_files.WHITE_IS_ZERO: (1, 2, 4, 8, 12, 16),
    tiff_files.BLACK_IS_ZERO: (1, 2, 4, 6, 8, 10, 12, 14, 16),
    tiff_files.RGB: (2, 4, 8, 12, 16),
    tiff_files.PALETTE: (1, 2, 4, 8),
    tiff_files.CMYK: (8, 16),
}
UNSPECIFIED, PREMULTIPLIED, STRAIGHT = 0, 1, 2


def tiff_kinds() -> Iterator[tuple[int, int, Optional[int]]]:
    """(photometric, bits, value of ExtraSamples or None)."""
    for photometric, depths in TIFF_DEPTHS.items():
        for bits in depths:
            yield photometric, bits, None
            if bits in (4, 8, 16):
                yield photometric, bits, UNSPECIFIED
                yield photometric, bits, STRAIGHT
            if bits in (8, 16) and photometric in (tiff_files.BLACK_IS_ZERO, tiff_files.RGB):
                yield photometric, bits, PREMULTIPLIED


def tiff_cases() -> Iterator[Case]:
    compressions = (tiff_files.RAW, tiff_files.LZW, tiff_files.DEFLATE, tiff_files.PACKBITS)
    for photometric, bits, extra in tiff_kinds():
        for planar in (False, True):
            for compression in compressions:
                for byte_order in "<>":
                    name = f"tiff {photometric} {bits} {extra} {planar} {compression} {byte_order}"
                    yield tiff_case(name, photometric, bits, extra, planar, compression, byte_order)


def tiff_case(
    name: str,
    photometric: int,
    bits: int,
    extra: Optional[int],
    planar: bool,
    compression: int,
    byte_order: str,
) -> Case:
    rng = random.Random(name)
    is_tiled = rng.random() < 0.4
    has_predictor = (
        compression in (tiff_files.LZW, tiff_files.DEFLATE)
        and bits in (8, 16)
        and rng.random() < 0.5
    )
    layout = Layout(
        planar,
        byte_order,
        compression,
        has_predictor,
        is_bit_reversed=rng.random() < 0.2,
        strip_rows=None if is_tiled else rng.choice((None, 1, 4, 7, 100)),
        tile_px=16 if is_tiled else None,
        is_big=rng.random() < 0.2,
    )
    orientation = rng.choice((None, None, 1, 2, 3, 4, 5, 6, 7, 8))
    colours = COLOURS[photometric]
    values = random_values(name, colours + (extra is not None), bits)
    tags: dict[str, tuple[int, list[int]]] = {}
    if extra is not None:
        tags["t338"] = (tiff_files.SHORT, [extra])
    if orientation:
        tags["t274"] = (tiff_files.SHORT, [orientation])
    scaled = values / ((1 << bits) - 1)
    colour, alpha = scaled[..., :colours], scaled[..., colours:]
    if photometric == tiff_files.WHITE_IS_ZERO:
        colour = 1 - colour
    elif photometric == tiff_files.CMYK:
        colour = (1 - colour[..., :3]) * (1 - colour[..., 3:])
    elif photometric == tiff_files.PALETTE:
        is_8_bit = rng.random() < 0.3
        palette = np.random.default_rng(bits).integers(0, 256, (1 << bits, 3))
        palette[0, 0] = 255  # a palette of 16-bit values has some over 255
        tags["t320"] = (tiff_files.SHORT, (palette.T * (1 if is_8_bit else 257)).ravel().tolist())
        colour = palette[values[..., 0]] / 255
    if extra == PREMULTIPLIED:
        colour = np.minimum(colour, alpha)
        values[..., :colours] = np.round(colour * ((1 << bits) - 1))
        picture = over_background(colour, None) + BACKGROUND * (1 - alpha)
    else:
        picture = over_background(colour, alpha if extra == STRAIGHT else None)
    stored = STORED[orientation or 1](values)
    data = tiff_of_samples(stored, bits, photometric, layout, **tags)
    tolerance = 3 if photometric == tiff_files.CMYK else 2 if extra else 1
    return Case(f"{name} {layout} {orientation}", data, picture, tolerance, has_alpha=bool(extra))


def smooth_picture() -> np.ndarray:
    """(h, w, 3) uint8 that JPEG hardly changes."""
    y, x = np.mgrid[:HEIGHT_PX, :WIDTH_PX]
    return np.stack([40 + 6 * x, 40 + 8 * y, 220 - 3 * x - 3 * y], axis=2).astype(np.uint8)


def jpeg(picture: np.ndarray, mode: str, **options: object) -> bytes:
    buffer = io.BytesIO()
    image = Image.frombytes(mode, picture.shape[1::-1], np.ascontiguousarray(picture).tobytes())
    image.save(buffer, "JPEG", quality=98, **options)
    return buffer.getvalue()


def tiff_of_jpegs() -> Iterator[Case]:
    rgb = smooth_picture()
    grey = rgb[..., :1]
    inks = np.dstack([255 - rgb, np.zeros_like(grey)])
    kinds: dict[str, tuple[int, np.ndarray, np.ndarray, str, dict[str, object]]] = {
        "grey": (tiff_files.BLACK_IS_ZERO, grey, np.repeat(grey, 3, 2), "L", {}),
        "white": (tiff_files.WHITE_IS_ZERO, 255 - grey, np.repeat(grey, 3, 2), "L", {}),
        "rgb": (tiff_files.RGB, rgb, rgb, "RGB", {"keep_rgb": True}),
        "444": (tiff_files.YCBCR, rgb, rgb, "RGB", {"subsampling": 0}),
        "422": (tiff_files.YCBCR, rgb, rgb, "RGB", {"subsampling": 1}),
        "420": (tiff_files.YCBCR, rgb, rgb, "RGB", {"subsampling": 2}),
        # Pillow stores 255 - ink in a JPEG file, TIFF stores the ink.
        "cmyk": (tiff_files.CMYK, 255 - inks, rgb, "CMYK", {"subsampling": 0}),
    }
    for name, (photometric, stored, picture, mode, options) in kinds.items():
        for tile_px, strip_rows in ((None, None), (None, 16), (16, None)):
            for has_tables in (False, True):
                layout = Layout(strip_rows=strip_rows, tile_px=tile_px)
                pieces = tiff_files._cut_into_parts(stored, layout)
                parts = [
                    jpeg(piece, mode, **options, streamtype=2 if has_tables else 0)
                    for piece in pieces
                ]
                entries: dict[int, Optional[tiff_files.Entry]] = {
                    256: (tiff_files.SHORT, [WIDTH_PX]),
                    257: (tiff_files.SHORT, [HEIGHT_PX]),
                    258: (tiff_files.SHORT, [8] * stored.shape[2]),
                    259: (tiff_files.SHORT, [tiff_files.JPEG]),
                    262: (tiff_files.SHORT, [photometric]),
                    277: (tiff_files.SHORT, [stored.shape[2]]),
                    278: None if tile_px else (tiff_files.SHORT, [strip_rows or HEIGHT_PX]),
                    322: (tiff_files.SHORT, [tile_px]) if tile_px else None,
                    323: (tiff_files.SHORT, [tile_px]) if tile_px else None,
                }
                if has_tables:
                    tables = jpeg(pieces[0], mode, **options, streamtype=1)
                    entries[347] = (tiff_files.UNDEFINED, list(tables))
                data = tiff_of_parts(parts, entries, layout)
                yield Case(
                    f"tiff jpeg {name} {tile_px} {strip_rows} {has_tables}", data, picture, 9
                )


def tiff_of_ycbcr() -> Iterator[Case]:
    rgb = smooth_picture()[:16, :24]
    ycbcr = np.asarray(Image.fromarray(rgb).convert("YCbCr"))
    for step_x, step_y in ((1, 1), (2, 1), (2, 2), (4, 2)):
        luma = ycbcr[..., 0].reshape(16 // step_y, step_y, 24 // step_x, step_x)
        luma = luma.transpose(0, 2, 1, 3).reshape(16 // step_y, 24 // step_x, -1)
        blocks = np.concatenate([luma, ycbcr[::step_y, ::step_x, 1:]], axis=2).tobytes()
        for compression in (tiff_files.RAW, tiff_files.DEFLATE, tiff_files.LZW):
            entries: dict[int, Optional[tiff_files.Entry]] = {
                256: (tiff_files.SHORT, [24]),
                257: (tiff_files.SHORT, [16]),
                258: (tiff_files.SHORT, [8, 8, 8]),
                259: (tiff_files.SHORT, [compression]),
                262: (tiff_files.SHORT, [tiff_files.YCBCR]),
                277: (tiff_files.SHORT, [3]),
                530: (tiff_files.SHORT, [step_x, step_y]),
            }
            part = tiff_files._compress(blocks, 1, compression)
            data = tiff_of_parts([part], entries, Layout())
            yield Case(f"tiff ycbcr {step_x} {step_y} {compression}", data, rgb, 30)


def png_cases() -> Iterator[Case]:
    kinds = {
        png_files.GREY: (1, (1, 2, 4, 8, 16)),
        png_files.RGB: (3, (8, 16)),
        png_files.PALETTE: (1, (1, 2, 4, 8)),
        png_files.GREY_ALPHA: (2, (8, 16)),
        png_files.RGBA: (4, (8, 16)),
    }
    for colour_type, (samples, depths) in kinds.items():
        for bits in depths:
            for interlaced in (False, True):
                for is_clear in (False, True):
                    for extra_bytes in (b"", bytes(500)):
                        name = (
                            f"png {colour_type} {bits} {interlaced} {is_clear} {extra_bytes[:1]!r}"
                        )
                        values = random_values(name, samples, bits)
                        yield png_case(
                            name, values, bits, colour_type, interlaced, is_clear, extra_bytes
                        )


def png_case(
    name: str,
    values: np.ndarray,
    bits: int,
    colour_type: int,
    interlaced: bool,
    is_clear: bool,
    extra_bytes: bytes,
) -> Case:
    scaled, alpha, chunks = values / ((1 << bits) - 1), None, []
    if colour_type == png_files.PALETTE:
        palette = np.random.default_rng(bits).integers(0, 256, (1 << bits, 3))
        opacity = np.full(1 << bits, 255)
        chunks.append((b"PLTE", palette.astype(np.uint8).tobytes()))
        if is_clear:
            opacity[:2] = 0, 70
            chunks.append((b"tRNS", bytes((0, 70))))
        scaled = palette[values[..., 0]] / 255
        alpha = opacity[values] / 255
    elif colour_type in (png_files.GREY_ALPHA, png_files.RGBA):
        scaled, alpha = scaled[..., :-1], scaled[..., -1:]
    elif is_clear:
        values[3, 4] = values[0, 0] ^ 1  # differs in the lowest bit only
        scaled = values / ((1 << bits) - 1)
        chunks.append((b"tRNS", values[0, 0].astype(">u2").tobytes()))
        alpha = (values != values[0, 0]).any(axis=2, keepdims=True).astype(float)
    data = png_files.png(
        values, bits, colour_type, *chunks, interlaced=interlaced, more_rows=extra_bytes
    )
    return Case(name, data, over_background(scaled, alpha), 2, has_alpha=alpha is not None)


def bmp_cases() -> Iterator[Case]:
    for bits in (1, 2, 4, 8):
        palette = np.random.default_rng(bits).integers(0, 256, (1 << bits, 3))
        for header_bytes in (12, 16, 40, 52, 56, 64, 108, 124):
            for compression in (bmp_files.RAW, {8: bmp_files.RLE8, 4: bmp_files.RLE4}.get(bits)):
                for top_down in (False, True):
                    if compression is None or (header_bytes < 40 and (compression or top_down)):
                        continue
                    name = f"bmp {bits} {header_bytes} {compression} {top_down}"
                    indices = random_values(name, 1, bits)[..., 0]
                    indices[2:5, 3:20] = 1  # runs
                    data = bmp_files.bmp_of_indices(
                        indices, palette, bits, header_bytes, compression, top_down
                    )
                    yield Case(name, data, palette[indices])
    yield from bmp_cases_of_fields()


def bmp_cases_of_fields() -> Iterator[Case]:
    layouts: list[tuple[int, tuple[int, ...], tuple[int, ...]]] = [
        (16, (0x7C00, 0x3E0, 0x1F), (5, 5, 5)),
        (16, (0xF800, 0x7E0, 0x1F), (5, 6, 5)),
        (16, (0xF00, 0xF0, 0xF, 0xF000), (4, 4, 4, 4)),
        (24, (0xFF0000, 0xFF00, 0xFF), (8, 8, 8)),
        (32, (0xFF0000, 0xFF00, 0xFF), (8, 8, 8)),
        (32, (0xFF0000, 0xFF00, 0xFF, 0xFF000000), (8, 8, 8, 8)),
        (32, (0xFF, 0xFF00, 0xFF0000), (8, 8, 8)),
        (32, (0xFF000000, 0xFF0000, 0xFF00, 0xFF), (8, 8, 8, 8)),
        (32, (0x3FF00000, 0xFFC00, 0x3FF), (10, 10, 10)),
    ]
    for bits, masks, depths in layouts:
        for header_bytes in (40, 52, 56, 108, 124):
            for alpha_kind in ("none",) if len(masks) == 3 else ("zero", "real"):
                for top_down in (False, True):
                    name = f"bmp {bits} {masks} {header_bytes} {alpha_kind} {top_down}"
                    has_alpha_mask = len(masks) == 4
                    values = random_values(name, len(masks), 16)
                    values >>= 16 - np.array(depths)
                    if alpha_kind == "zero":
                        values[..., 3] = 0
                    compression = bmp_files.BIT_FIELDS
                    if has_alpha_mask and header_bytes < 56:
                        if header_bytes == 52:
                            continue  # has no place for the mask of alpha
                        compression = bmp_files.ALPHA_BIT_FIELDS
                    data = bmp_files.bmp_of_fields(
                        values, masks, bits, header_bytes, compression, top_down
                    )
                    scaled = values / ((1 << np.array(depths)) - 1)
                    alpha = scaled[..., 3:] if alpha_kind == "real" else None
                    picture = over_background(scaled[..., :3], alpha)
                    yield Case(
                        name,
                        data,
                        picture,
                        2,
                        has_alpha=alpha is not None,
                        others_err="they return alpha 0" if alpha_kind == "zero" else "",
                    )
    for bits, masks, depths in layouts[0], layouts[3], layouts[4]:
        for header_bytes in (12, 16, 40, 52, 56, 64, 108, 124):
            name = f"bmp {bits} {header_bytes} without fields"
            values = random_values(name, 3, 16) >> 16 - np.array(depths)
            data = bmp_files.bmp_of_fields(values, masks, bits, header_bytes, bmp_files.RAW)
            yield Case(name, data, values / ((1 << np.array(depths)) - 1) * 255, 2)


def gif_cases() -> Iterator[Case]:
    for code_bits in (2, 3, 4, 5, 6, 7, 8, 9, 10, 11):
        bits = min(code_bits, 8)
        palette = np.random.default_rng(bits).integers(0, 256, (1 << bits, 3))
        for interlaced in (False, True):
            for local in (False, True):
                for trailer in (b"\0;", b"\0", b"\0\0;", b"\0\x2c\1\0\0\0damage"):
                    for clear_index in (None, 1):
                        name = f"gif {code_bits} {interlaced} {local} {trailer!r} {clear_index}"
                        indices = random_values(name, 1, bits)[..., 0]
                        data = gif_files.gif(
                            indices,
                            palette,
                            code_bits,
                            local_palette=local,
                            interlaced=interlaced,
                            clear_index=clear_index,
                            trailer=trailer,
                        )
                        alpha = (indices != clear_index)[..., None].astype(float)
                        picture = over_background(palette[indices] / 255, alpha)
                        yield Case(name, data, picture, has_alpha=clear_index is not None)


def webp_cases() -> Iterator[Case]:
    for orientation in (1, 3, 6, 7):
        for samples in (3, 4):
            for is_animated in (False, True):
                name = f"webp {orientation} {samples} {is_animated}"
                values = random_values(name, samples, 8)
                exif = Image.Exif()
                exif[0x0112] = orientation
                stored = np.ascontiguousarray(STORED[orientation](values)).astype(np.uint8)
                frame = Image.fromarray(stored)
                options: dict[str, object] = {"lossless": True, "exact": True, "exif": exif}
                if is_animated:
                    options.update(save_all=True, append_images=[Image.new("RGB", frame.size)])
                buffer = io.BytesIO()
                frame.save(buffer, "WEBP", **options)
                alpha = values[..., 3:] / 255 if samples == 4 else None
                picture = over_background(values[..., :3] / 255, alpha)
                yield Case(name, buffer.getvalue(), picture, has_alpha=samples == 4)


FAMILIES: dict[str, Callable[[], Iterator[Case]]] = {
    "tiff": tiff_cases,
    "tiff of jpegs": tiff_of_jpegs,
    "tiff of ycbcr": tiff_of_ycbcr,
    "png": png_cases,
    "bmp": bmp_cases,
    "gif": gif_cases,
    "webp": webp_cases,
}


def largest_difference(pixels: np.ndarray, picture: np.ndarray) -> float:
    if pixels.shape != picture.shape:
        return 255
    return float(np.abs(pixels.astype(float) - picture).max())


def pillow_pixels(data: bytes) -> Optional[np.ndarray]:
    """The picture over BACKGROUND; None if Pillow cannot decode it."""
    try:
        with Image.open(io.BytesIO(data)) as image:
            upright = ImageOps.exif_transpose(image)
            if upright.mode.startswith("I;16"):
                return np.repeat((np.asarray(upright) >> 8)[..., None], 3, axis=2)
            rgba = upright.convert("RGBA")
    except Exception:
        return None
    canvas = Image.new("RGBA", rgba.size, (BACKGROUND, BACKGROUND, BACKGROUND, 255))
    return np.asarray(Image.alpha_composite(canvas, rgba).convert("RGB"))


def opencv_pixels(data: bytes, has_alpha: bool) -> Optional[np.ndarray]:
    """The picture over BACKGROUND; None if OpenCV cannot decode it, or cannot return its alpha."""
    encoded = np.frombuffer(data, np.uint8)
    try:
        stored = cv2.imdecode(encoded, cv2.IMREAD_UNCHANGED)
        if stored is None or stored.ndim < 3 or stored.shape[2] != 4:
            colour = None if has_alpha else cv2.imdecode(encoded, cv2.IMREAD_COLOR)
            return None if colour is None else colour[..., ::-1]
    except cv2.error:
        return None
    scaled = stored / (255 if stored.dtype == np.uint8 else 65535)
    return over_background(scaled[..., 2::-1], scaled[..., 3:])


@pytest.mark.parametrize("family", sorted(FAMILIES))
def test_every_variant_gives_the_picture_that_was_written(family: str) -> None:
    wrong = []
    for case in FAMILIES[family]():
        height_px, width_px = case.picture.shape[:2]
        size = {"height_px": height_px, "width_px": width_px}
        try:
            pixels = decode(case.data, SPEC.model_copy(update=size)).pixels
        except ImageRejectedError as rejected:
            wrong.append(f"{case.name}: {rejected}")
            continue
        difference = largest_difference(pixels, case.picture)
        if difference > case.tolerance:
            wrong.append(f"{case.name}: differs by {difference:.1f}")
    assert not wrong, f"{len(wrong)} wrong:\n" + "\n".join(wrong[:40])


@pytest.mark.parametrize("family", sorted(FAMILIES))
def test_what_pillow_and_opencv_agree_on_is_the_picture_that_was_written(family: str) -> None:
    wrong, num_cases, num_confirmed = [], 0, 0
    for case in FAMILIES[family]():
        others = [pillow_pixels(case.data), opencv_pixels(case.data, case.has_alpha)]
        same = [
            other is not None and largest_difference(other, case.picture) <= case.tolerance + 4
            for other in others
        ]
        num_cases, num_confirmed = num_cases + 1, num_confirmed + any(same)
        if any(same) or others[0] is None or others[1] is None or case.others_err:
            continue
        if largest_difference(others[0], others[1]) <= case.tolerance + 4:
            wrong.append(case.name)
    print(family, num_cases, num_confirmed)
    assert not wrong, f"{len(wrong)} wrong:\n" + "\n".join(wrong[:40])
