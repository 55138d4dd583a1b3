"""The description of a page of a TIFF file."""

from __future__ import annotations

from enum import IntEnum
from typing import NamedTuple


class Photometric(IntEnum):
    """What the samples mean."""

    WHITE_IS_ZERO = 0
    BLACK_IS_ZERO = 1
    RGB = 2
    PALETTE = 3
    CMYK = 5
    YCBCR = 6


class Compression(IntEnum):
    """The compressions that are decoded."""

    NONE = 1
    LZW = 5
    JPEG = 7
    DEFLATE = 8
    PACKBITS = 32773
    OLD_DEFLATE = 32946


class Alpha(IntEnum):
    """The values of ExtraSamples."""

    UNSPECIFIED = 0
    PREMULTIPLIED = 1
    STRAIGHT = 2


class TiffPage(NamedTuple):
    width_px: int
    height_px: int
    bits: int  # of each sample
    samples: int  # of each pixel
    photometric: Photometric
    compression: Compression
    has_predictor: bool  # samples are stored as differences from the pixel to their left
    planes: int  # 1, or one for each sample
    byte_order: str  # "<" or ">"
    is_bit_reversed: bool  # the first pixel is in the lowest bits of a byte
    alpha: Alpha  # the meaning of the sample after the colour's
    colour_map: tuple[int, ...]  # reds, greens and blues, 0..65535
    orientation: int  # 1..8
    jpeg_tables: bytes  # a JPEG stream of the tables that the parts share, or b""
    chroma_step_px: tuple[int, ...]  # horizontal and vertical, of uncompressed YCbCr
    part_width_px: int  # of a strip or tile
    part_height_px: int
    is_tiled: bool
    parts: tuple[tuple[int, int], ...]  # offset and bytes of each strip or tile, plane by plane

    @property
    def samples_of_part(self) -> int:
        return self.samples // self.planes

    @property
    def part_row_bytes(self) -> int:
        return (self.part_width_px * self.samples_of_part * self.bits + 7) // 8

    def part_bytes(self, rows: int) -> int:
        """The uncompressed bytes of a part of `rows` rows."""
        if self.photometric != Photometric.YCBCR:
            return rows * self.part_row_bytes
        columns_px, rows_px = self.chroma_step_px
        blocks = -(-self.part_width_px // columns_px) * -(-rows // rows_px)
        return blocks * (columns_px * rows_px + 2)

    @property
    def parts_across(self) -> int:
        return -(-self.width_px // self.part_width_px)

    @property
    def parts_down(self) -> int:
        return -(-self.height_px // self.part_height_px)

    def part_place(self, number: int) -> tuple[int, int, int]:
        """The plane, top and left, in px, of a part by its number in `parts`."""
        row, column = divmod(number, self.parts_across)
        plane, row = divmod(row, self.parts_down)
        return plane, row * self.part_height_px, column * self.part_width_px

    def part_rows(self, number: int) -> int:
        """The rows of a part: the last strip ends with the picture, the last tile does not."""
        left_px = self.height_px - self.part_place(number)[1]
        return self.part_height_px if self.is_tiled else min(self.part_height_px, left_px)


COLOUR_SAMPLES = {
    Photometric.WHITE_IS_ZERO: 1,
    Photometric.BLACK_IS_ZERO: 1,
    Photometric.RGB: 3,
    Photometric.PALETTE: 1,
    Photometric.CMYK: 4,
    Photometric.YCBCR: 3,
}
