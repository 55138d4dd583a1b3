"""Read the first page of a TIFF file, and refuse what is not decoded.

All numbers are checked against the file here, before any decoder: libtiff allocates whole tiles
and reports errors to stderr only, and Pillow leaves pixels black that no strip fills.
"""

from __future__ import annotations

from typing import TypeVar

from halftone.config import PixelSpec
from halftone.images.result import ImageRejectedError, check_size
from halftone.images.tiff_page import COLOUR_SAMPLES, Alpha, Compression, Photometric, TiffPage
from halftone.images.tiff_tags import TiffTag, TiffTagValues, byte_order, check_extent, read_tags

_MAX_BITS = 16
_MAX_PALETTE_BITS = 8
_UNSIGNED_FORMATS = (1, 4)  # 4: not stated
_WITH_PREDICTOR = (Compression.LZW, Compression.DEFLATE, Compression.OLD_DEFLATE)
_CMYK_INKS = 1
_MAX_EXTRA_SAMPLES = 3
_START_OF_JPEG, _END_OF_JPEG = b"\xff\xd8", b"\xff\xd9"
_CHROMA_STEPS_PX = (1, 2, 4)
_DEFAULT_CHROMA_STEP_PX = (2, 2)
_ITU_R_601_COEFFICIENTS = (0.299, 0.587, 0.114)
_FULL_RANGE = (0, 255, 128, 255, 128, 255)
_COREL_ALPHA = 999  # Corel Draw 10 writes this for straight alpha


def read_page(data: bytes, spec: PixelSpec) -> TiffPage:
    """Read and check the first page.

    Raises:
        ImageRejectedError: its values or strips lie beyond the data or do not fill the picture, its
            size or that of its tiles is outside the limits of `spec`, or it is of a variant that
            is not decoded.
    """
    tags = read_tags(data)
    width_px, height_px = _value(tags, TiffTag.WIDTH, 0), _value(tags, TiffTag.HEIGHT, 0)
    check_size(spec, width_px, height_px)
    compression = _read_code(
        tags, TiffTag.COMPRESSION, Compression, Compression.NONE, _COMPRESSIONS_NOT_DECODED
    )
    if TiffTag.PHOTOMETRIC not in tags:
        raise ImageRejectedError("damaged", "TIFF directory lacks PHOTOMETRIC")
    photometric = _read_code(tags, TiffTag.PHOTOMETRIC, Photometric, 0, _PHOTOMETRICS_NOT_DECODED)
    bits, samples = _read_bits_and_samples(tags)
    alpha = _read_alpha(tags, photometric, samples)
    planar = _value(tags, TiffTag.PLANAR, 1)
    if planar not in (1, 2):
        raise ImageRejectedError("damaged", f"TIFF of planar configuration {planar}")
    is_tiled = TiffTag.TILES in tags
    tile_tags = (TiffTag.TILE_WIDTH, TiffTag.TILE_HEIGHT)
    if any((tag in tags) != is_tiled for tag in tile_tags):  # TIFF readers disagree
        raise ImageRejectedError("damaged", "TIFF of strips with tags of tiles, or the reverse")
    part_width_px, part_height_px = width_px, _value(tags, TiffTag.STRIP_ROWS, height_px)
    if is_tiled:
        part_width_px = _value(tags, TiffTag.TILE_WIDTH, 0)
        part_height_px = _value(tags, TiffTag.TILE_HEIGHT, 0)
        if part_width_px * part_height_px > spec.max_pixels:
            check_size(spec, part_width_px, part_height_px)
    if part_width_px < 1 or part_height_px < 1:
        raise ImageRejectedError("damaged", f"TIFF parts of {part_width_px} x {part_height_px} px")
    page = TiffPage(
        width_px,
        height_px,
        bits,
        samples,
        photometric,
        compression,
        _read_predictor(tags, compression, bits),
        samples if planar == 2 else 1,
        byte_order(data),
        _value(tags, TiffTag.FILL_ORDER, 1) == 2,
        alpha,
        _read_colour_map(tags, photometric, bits),
        _read_orientation(tags),
        bytes(tags.get(TiffTag.JPEG_TABLES, ())),
        tags.get(TiffTag.YCBCR_SUBSAMPLING, _DEFAULT_CHROMA_STEP_PX)[:2],
        part_width_px,
        part_height_px,
        is_tiled,
        (),
    )
    _check_variant(page, tags)
    return page._replace(parts=_read_parts(data, tags, page))


def _value(tags: TiffTagValues, tag: TiffTag, default: int) -> int:
    values = tags.get(tag, (default,))
    if len(values) != 1:
        raise ImageRejectedError("damaged", f"TIFF tag {tag.name} of {len(values)} values")
    return values[0]


Code = TypeVar("Code", Compression, Photometric)


def _read_code(
    tags: TiffTagValues, tag: TiffTag, kind: type[Code], default: int, not_decoded: dict[int, str]
) -> Code:
    """Return the value of a tag as one of the codes that are decoded."""
    number = _value(tags, tag, default)
    try:
        return kind(number)
    except ValueError:
        name = not_decoded.get(number, "unknown")
        raise ImageRejectedError(
            "unsupported", f"TIFF of {tag.name.lower()} {number} ({name})"
        ) from None


_COMPRESSIONS_NOT_DECODED = {
    2: "CCITT fax RLE",  # libtiff returns a damaged fax as complete
    3: "CCITT fax G3",
    4: "CCITT fax G4",
    6: "old JPEG",
    33003: "JPEG 2000",
    33005: "JPEG 2000",
    34712: "JPEG 2000",
    34887: "LERC",
    34892: "lossy DNG",
    34925: "LZMA",
    50000: "Zstandard",
    50001: "WebP",
    50002: "JPEG XL",
    52546: "JPEG XL",
}


_PHOTOMETRICS_NOT_DECODED = {
    4: "transparency mask",
    8: "CIE L*a*b*",
    9: "ICC L*a*b*",
    10: "ITU L*a*b*",
    32803: "colour filter array",
    32844: "LogL",
    32845: "LogLuv",
    34892: "linear raw",
}


def _read_bits_and_samples(tags: TiffTagValues) -> tuple[int, int]:
    all_bits = tags.get(TiffTag.BITS, (1,))
    samples = _value(tags, TiffTag.SAMPLES, 1)
    if len(all_bits) not in (1, samples) or (TiffTag.BITS not in tags and samples > 1):
        raise ImageRejectedError(
            "damaged", f"TIFF of {samples} samples with bits for {len(all_bits)}"
        )
    formats = tags.get(TiffTag.SAMPLE_FORMAT, (1,))
    is_uniform = len(set(all_bits)) == 1 and 1 <= all_bits[0] <= _MAX_BITS
    if not is_uniform or not set(formats) <= set(_UNSIGNED_FORMATS):
        raise ImageRejectedError(
            "unsupported", f"TIFF of samples of {all_bits[:8]} bits, format {formats[:8]}"
        )
    return all_bits[0], samples


def _read_alpha(tags: TiffTagValues, photometric: Photometric, samples: int) -> Alpha:
    extra_samples = samples - COLOUR_SAMPLES[photometric]
    if extra_samples < 0:
        raise ImageRejectedError("unsupported", f"TIFF of {photometric.name}, {samples} samples")
    kinds = tags.get(TiffTag.EXTRA_SAMPLES, ())
    if photometric == Photometric.RGB and extra_samples == 1 and kinds in ((), (_COREL_ALPHA,)):
        return Alpha.STRAIGHT  # as Pillow does
    premultiplied_grey_or_rgb = (Photometric.BLACK_IS_ZERO, Photometric.RGB)
    is_known = (
        len(kinds) == extra_samples <= _MAX_EXTRA_SAMPLES
        and set(kinds[:1]) <= set(Alpha)
        and not any(kinds[1:])
        and not (extra_samples > 1 and COLOUR_SAMPLES[photometric] == 1)  # bands, not one picture
        and not (Alpha.PREMULTIPLIED in kinds and photometric not in premultiplied_grey_or_rgb)
    )
    if not is_known:
        raise ImageRejectedError(
            "unsupported",
            f"TIFF of {photometric.name}, {samples} samples, ExtraSamples {kinds[:8]}",
        )
    return Alpha(kinds[0]) if kinds else Alpha.UNSPECIFIED


def _read_predictor(tags: TiffTagValues, compression: Compression, bits: int) -> bool:
    predictor = _value(tags, TiffTag.PREDICTOR, 1)
    if predictor == 1 or compression not in _WITH_PREDICTOR:
        return False
    if predictor != 2 or bits not in (8, 16):
        raise ImageRejectedError("unsupported", f"TIFF of predictor {predictor}, {bits} bits")
    return True


def _read_colour_map(tags: TiffTagValues, photometric: Photometric, bits: int) -> tuple[int, ...]:
    if photometric != Photometric.PALETTE:
        return ()
    if bits > _MAX_PALETTE_BITS:
        raise ImageRejectedError("unsupported", f"TIFF palette of {bits} bits")
    colour_map = tags.get(TiffTag.COLOUR_MAP, ())
    if len(colour_map) != 3 << bits:
        raise ImageRejectedError(
            "damaged", f"TIFF palette of {len(colour_map)} values, {bits} bits need {3 << bits}"
        )
    return colour_map


def _read_orientation(tags: TiffTagValues) -> int:
    orientation = tags.get(TiffTag.ORIENTATION, (1,))[0]
    return orientation if 1 <= orientation <= 8 else 1


def _check_variant(page: TiffPage, tags: TiffTagValues) -> None:
    """Refuse combinations that Pillow and libtiff decode wrongly or not at all."""
    if page.photometric == Photometric.CMYK and _value(tags, TiffTag.INK_SET, 1) != _CMYK_INKS:
        raise ImageRejectedError("unsupported", "TIFF of inks other than CMYK")
    is_jpeg = page.compression == Compression.JPEG
    tables = page.jpeg_tables
    if tables and (tables[:2] != _START_OF_JPEG or tables[-2:] != _END_OF_JPEG):
        raise ImageRejectedError("damaged", f"TIFF of JPEG tables of {len(tables)} bytes")
    if is_jpeg and (page.bits != 8 or page.is_bit_reversed):
        raise ImageRejectedError("unsupported", f"TIFF of JPEG compression, {page.bits} bits")
    if page.photometric != Photometric.YCBCR:
        return
    steps_px = page.chroma_step_px
    is_known = len(steps_px) == 2 and set(steps_px) <= set(_CHROMA_STEPS_PX)
    if (page.bits, page.samples, page.planes) != (8, 3, 1) or not (is_jpeg or is_known):
        raise ImageRejectedError(
            "unsupported",
            f"TIFF of YCbCr, {page.samples} samples of {page.bits} bits, {page.planes} planes, "
            f"chroma steps {steps_px}",
        )
    _check_fractions(tags, TiffTag.YCBCR_COEFFICIENTS, _ITU_R_601_COEFFICIENTS)
    _check_fractions(tags, TiffTag.REFERENCE_BLACK_WHITE, _FULL_RANGE)


def _check_fractions(tags: TiffTagValues, tag: TiffTag, expected: tuple[float, ...]) -> None:
    values = tags.get(tag)
    if values is None:
        return
    fractions = [a / max(b, 1) for a, b in zip(values[::2], values[1::2])]
    is_expected = len(fractions) == len(expected) and all(
        abs(fraction - value) < 0.001 for fraction, value in zip(fractions, expected)
    )
    if not is_expected:
        raise ImageRejectedError("unsupported", f"TIFF of YCbCr with {tag.name} {fractions}")


def _read_parts(data: bytes, tags: TiffTagValues, page: TiffPage) -> tuple[tuple[int, int], ...]:
    """(offset, bytes) of each strip or tile that the picture needs.

    Sizes that are missing or 0 are repaired as in libtiff: an uncompressed part has the bytes of
    its rows, a compressed one ends where the next begins.
    """
    starts = tags.get(TiffTag.TILES if page.is_tiled else TiffTag.STRIPS, ())
    sizes = tags.get(TiffTag.TILE_BYTES if page.is_tiled else TiffTag.STRIP_BYTES, ())
    needed = page.parts_across * page.parts_down * page.planes
    if len(starts) < needed or len(sizes) not in (0, len(starts)):
        raise ImageRejectedError(
            "damaged", f"TIFF of {needed} strips or tiles has {len(starts)}, {len(sizes)} sizes"
        )
    ends = dict(zip(sorted(starts), (*sorted(starts)[1:], len(data))))
    parts = []
    for i in range(needed):
        num_bytes = page.part_bytes(page.part_rows(i))
        start, size = starts[i], sizes[i] if sizes else 0
        is_raw = page.compression == Compression.NONE
        size = size or (num_bytes if is_raw else ends[start] - start)
        check_extent("strip or tile", start, size, data)
        if is_raw and size < num_bytes:
            raise ImageRejectedError(
                "truncated", f"TIFF strip or tile of {size:,} bytes, its rows take {num_bytes:,}"
            )
        parts.append((start, size))
    return tuple(parts)
