"""Read the header of a JPEG XL codestream: size, and what the picture consists of."""

from __future__ import annotations

from typing import NamedTuple

from halftone.images.result import ImageRejectedError

CODESTREAM_MAGIC = b"\xff\x0a"
_MAX_HEADER_BYTES = 4096
# Width by height for the field `ratio` from 1.
_RATIOS = ((1, 1), (12, 10), (4, 3), (3, 2), (16, 9), (5, 4), (2, 1))
_ALPHA = 0
_CHANNEL_NAMES = {1: "depth", 2: "a spot colour", 3: "a selection mask", 4: "black"}


class JxlHeader(NamedTuple):
    width_px: int  # before its orientation
    height_px: int
    unsupported: str  # what the decoder would not show, or show in another way
    is_premultiplied: bool


class _Bits:
    """The bits of a codestream, the lowest of each byte first."""

    def __init__(self, data: bytes) -> None:
        self._value = int.from_bytes(data, "little")
        self._left = 8 * len(data)

    def read(self, count: int) -> int:
        self._left -= count
        if self._left < 0:
            raise ImageRejectedError("truncated", "JPEG XL that ends in its header")
        value = self._value & ((1 << count) - 1)
        self._value >>= count
        return value

    def choose(self, *choices: tuple[int, int]) -> int:
        """Read one of four (bits, offset), whose number is in 2 bits."""
        bits, offset = choices[self.read(2)]
        return self.read(bits) + offset

    def choose_enum(self) -> int:
        return self.choose((0, 0), (0, 1), (4, 2), (6, 18))


def read_jxl_header(codestream: bytes) -> JxlHeader:
    """Read the header.

    Raises:
        ImageRejectedError: it is truncated or damaged.
    """
    if not codestream.startswith(CODESTREAM_MAGIC):
        start = codestream[:2].hex(" ")
        raise ImageRejectedError("damaged", f"JPEG XL codestream that starts with {start}")
    bits = _Bits(codestream[2:_MAX_HEADER_BYTES])
    width_px, height_px = _read_size(bits)
    if bits.read(1):  # all values have their defaults
        return JxlHeader(width_px, height_px, "", False)
    if bits.read(1):
        bits.read(3)  # orientation
        if bits.read(1):
            _read_size(bits)  # the intrinsic size, for display
        if bits.read(1):
            _skip_preview_size(bits)
        if bits.read(1):
            return JxlHeader(width_px, height_px, "an animation", False)
    if _is_float(bits):
        return JxlHeader(width_px, height_px, "float samples", False)
    bits.read(1)  # whether 16 bits are enough for the modular mode
    is_premultiplied = False
    for _ in range(bits.choose((0, 0), (0, 1), (4, 2), (12, 1))):
        kind, is_associated = _read_channel(bits)
        if kind != _ALPHA:
            name = _CHANNEL_NAMES.get(kind, f"a channel of type {kind}")
            return JxlHeader(width_px, height_px, name, False)
        is_premultiplied = is_premultiplied or is_associated
    return JxlHeader(width_px, height_px, "", is_premultiplied)


def _read_size(bits: _Bits) -> tuple[int, int]:
    """(width, height) in px."""
    in_eights = bits.read(1)

    def read_side() -> int:
        if in_eights:
            return 8 * (bits.read(5) + 1)
        return bits.choose((9, 1), (13, 1), (18, 1), (30, 1))

    height_px = read_side()
    ratio = bits.read(3)
    if ratio:
        wide, high = _RATIOS[ratio - 1]
        return height_px * wide // high, height_px
    return read_side(), height_px


def _skip_preview_size(bits: _Bits) -> None:
    in_eights = bits.read(1)

    def skip_side() -> None:
        if in_eights:
            bits.choose((0, 16), (0, 32), (5, 1), (9, 33))
        else:
            bits.choose((6, 1), (8, 65), (10, 321), (12, 1345))

    skip_side()
    if not bits.read(3):
        skip_side()


def _is_float(bits: _Bits) -> bool:
    """Read the description of samples."""
    if bits.read(1):
        bits.choose((0, 32), (0, 16), (0, 24), (6, 1))
        bits.read(4)
        return True
    bits.choose((0, 8), (0, 10), (0, 12), (6, 1))
    return False


def _read_channel(bits: _Bits) -> tuple[int, bool]:
    """Read the description of an extra channel: its type, and whether alpha is premultiplied."""
    if bits.read(1):  # straight alpha of 8 bits
        return _ALPHA, False
    kind = bits.choose_enum()
    _is_float(bits)
    bits.choose((0, 0), (0, 3), (0, 4), (3, 1))  # how far it is reduced
    for _ in range(bits.choose((0, 0), (4, 0), (5, 16), (10, 48))):
        bits.read(8)  # its name
    return kind, kind == _ALPHA and bool(bits.read(1))
