"""Find where the scans of a sequential Huffman-coded JPEG end, by counting their blocks.

libjpeg's warnings do not tell junk after the last block from damage within the blocks, and Pillow
does not report them. This takes 25 ms per 100 kB and is needed for rare files only.

After the last block, up to 7 bits of 1 fill its byte. What follows is junk, unless it reads as more
blocks: then a damaged code has moved the end of the blocks.
"""

from __future__ import annotations

import re
from array import array
from typing import NamedTuple

import numpy as np

from halftone.images.jpeg import (
    DHT,
    DRI,
    MARKER_IN_SCAN,
    SEQUENTIAL_HUFFMAN_FRAMES,
    SOS,
    JpegHeader,
    iterate_segments,
)
from halftone.images.result import ImageRejectedError

_RESTART = re.compile(rb"\xff+([\xd0-\xd7])")
_BLOCK_SIDE_PX = 8
_COEFFICIENTS = 64
# An entry of a table, by the next 16 bits: bits to skip + _STEP * coefficients that are then done.
_MAX_CODE_BITS = 16
_STEP = 32
_END_OF_BLOCK = 4 * _COEFFICIENTS
_INVALID_CODE = _STEP * _COEFFICIENTS
_MAX_BLOCK_BYTES = 256  # 64 codes of at most 16 bits, each with at most 15 bits of value

_Table = list[int]
_Tables = tuple[_Table, _Table]  # for DC and AC


class _Component(NamedTuple):
    identifier: int
    horizontal: int  # blocks of an MCU
    vertical: int


class _Bits(NamedTuple):
    """Entropy-coded bytes without stuffing."""

    data: bytes
    windows: array[int]  # the 24 bits that start at each byte

    @classmethod
    def of(cls, stuffed: bytes) -> _Bits:
        data = stuffed.replace(b"\xff\0", b"\xff")
        padded = np.frombuffer(data + b"\xff" * (_MAX_BLOCK_BYTES + 2), np.uint8).astype(np.uint32)
        windows = padded[:-2] << 16 | padded[1:-1] << 8 | padded[2:]
        return cls(data, array("I", windows.tobytes()))


def sampling_factors(data: bytes, header: JpegHeader) -> str:
    """Return the factors of each component, for example "2x2, 1x1, 1x1"."""
    return ", ".join(f"{each.horizontal}x{each.vertical}" for each in _components(data, header))


def find_scans_end(data: bytes, header: JpegHeader) -> int:
    """Return the offset behind the last byte of the last scan.

    Raises:
        ImageRejectedError: blocks are missing or damaged, or the JPEG is progressive or arithmetic
            coded.
    """
    if header.frame_marker not in SEQUENTIAL_HUFFMAN_FRAMES:
        raise ImageRejectedError("unsupported", "the blocks of this kind of JPEG are not counted")
    components = _components(data, header)
    missing = {each.identifier: each for each in components}
    tables: dict[int, _Table] = {}
    restart_interval, at = 0, 2
    while missing:
        for marker, start, end in iterate_segments(data, at):
            at = end
            if marker == DHT:
                tables.update(_read_tables(data[start + 4 : end]))
            elif marker == DRI:
                restart_interval = int.from_bytes(data[start + 4 : start + 6], "big")
            elif marker == SOS:
                chosen = data[start + 5 : end - 3]
        scan_components = set(chosen[::2])
        is_distinct = 0 < len(scan_components) == len(chosen[::2])
        if not is_distinct or not scan_components <= missing.keys():
            raise ImageRejectedError("damaged", "JPEG scan of a component that is not missing")
        scan = [missing.pop(identifier) for identifier in chosen[::2]]
        blocks = _blocks_of_mcu(scan, chosen[1::2], tables)
        mcus = _count_mcus(scan, components, header)
        at = _walk_scan(data, at, blocks, mcus, restart_interval, is_last=not missing)
    return at


def _components(data: bytes, header: JpegHeader) -> list[_Component]:
    for marker, start, end in iterate_segments(data):
        if marker == header.frame_marker:
            fields = data[start + 10 : end]
    components = [
        _Component(fields[i], fields[i + 1] >> 4, fields[i + 1] & 15)
        for i in range(0, len(fields) - 2, 3)
    ]
    if not all(1 <= factor <= 4 for each in components for factor in each[1:]):
        raise ImageRejectedError("damaged", "JPEG with a sampling factor that is not 1 to 4")
    return components


def _read_tables(segment: bytes) -> dict[int, _Table]:
    """Return the tables by class and number, 0x00 to 0x03 for DC, 0x10 to 0x13 for AC."""
    tables: dict[int, _Table] = {}
    at = 0
    while at + 17 <= len(segment):
        counts = segment[at + 1 : at + 17]
        symbols = iter(segment[at + 17 : at + 17 + sum(counts)])
        is_ac = segment[at] >> 4 > 0
        table: _Table = []
        for bits, count in enumerate(counts, 1):
            for _, symbol in zip(range(count), symbols):
                table += [_entry(bits, symbol, is_ac)] * (1 << _MAX_CODE_BITS - bits)
        table += [_INVALID_CODE] * ((1 << _MAX_CODE_BITS) - len(table))
        tables[segment[at]] = table
        at += 17 + sum(counts)
    return tables


def _entry(bits: int, symbol: int, is_ac: bool) -> int:
    run, value_bits = symbol >> 4, symbol & 15
    if not is_ac:
        return bits + value_bits if run == 0 else _INVALID_CODE
    if value_bits == 0 and run < 15:
        return bits + _STEP * _END_OF_BLOCK
    return bits + value_bits + _STEP * (run + 1)


def _blocks_of_mcu(
    scan: list[_Component], choices: bytes, tables: dict[int, _Table]
) -> list[_Tables]:
    blocks: list[_Tables] = []
    for component, choice in zip(scan, choices):
        dc, ac = choice >> 4, 0x10 | choice & 15
        if dc not in tables or ac not in tables:
            raise ImageRejectedError("damaged", "JPEG scan without its Huffman tables")
        count = component.horizontal * component.vertical if len(scan) > 1 else 1
        blocks += [(tables[dc], tables[ac])] * count
    return blocks


def _count_mcus(scan: list[_Component], components: list[_Component], header: JpegHeader) -> int:
    """Count the minimum coded units: one block, or all components' blocks of one area."""
    widest = max(each.horizontal for each in components)
    highest = max(each.vertical for each in components)
    if len(scan) > 1:
        across_px, down_px = widest * _BLOCK_SIDE_PX, highest * _BLOCK_SIDE_PX
        return -(-header.width_px // across_px) * -(-header.height_px // down_px)
    width_px = -(-header.width_px * scan[0].horizontal // widest)
    height_px = -(-header.height_px * scan[0].vertical // highest)
    return -(-width_px // _BLOCK_SIDE_PX) * -(-height_px // _BLOCK_SIDE_PX)


def _walk_scan(
    data: bytes, start: int, blocks: list[_Tables], mcus: int, restart_interval: int, is_last: bool
) -> int:
    """Return the offset behind the scan."""
    marker = MARKER_IN_SCAN.search(data, start)
    scan = data[start : marker.start() if marker else len(data)]
    at = done = 0
    while True:
        restart = _RESTART.search(scan, at)
        bits = _Bits.of(scan[at : restart.start() if restart else len(scan)])
        interval_mcus = min(restart_interval or mcus, mcus - done * restart_interval)
        end = _walk_blocks(bits, 0, blocks * interval_mcus)
        if (done + 1) * (restart_interval or mcus) >= mcus:
            break
        if restart is None or restart[1][0] != 0xD0 + done % 8:
            reason = "damaged" if restart or marker else "truncated"
            raise ImageRejectedError(reason, f"JPEG restart marker {done + 1:,} is missing")
        _check_rest(bits, end, blocks, may_be_junk=False)
        at, done = restart.end(), done + 1
    _check_rest(bits, end, blocks, may_be_junk=is_last)
    used = bits.data[: -(-end // 8)]
    return start + at + len(used) + used.count(0xFF)


def _walk_blocks(bits: _Bits, at: int, blocks: list[_Tables]) -> int:
    """Return the position in bits behind the blocks that start at bit `at`."""
    windows, available = bits.windows, len(bits.data) * 8
    for number, (dc, ac) in enumerate(blocks, 1):
        entry = dc[windows[at >> 3] >> 8 - (at & 7) & 0xFFFF]
        at += entry & _STEP - 1
        done = 1 if entry < _STEP else _COEFFICIENTS + 1
        while done < _COEFFICIENTS:
            entry = ac[windows[at >> 3] >> 8 - (at & 7) & 0xFFFF]
            at += entry & _STEP - 1
            done += entry >> 5
        is_invalid = _COEFFICIENTS < done < _END_OF_BLOCK
        if at + _MAX_CODE_BITS * is_invalid > available:
            raise ImageRejectedError("truncated", f"JPEG scan ends in block {number:,}")
        if is_invalid:
            raise ImageRejectedError("damaged", f"JPEG block {number:,} has an invalid code")
    return at


def _check_rest(bits: _Bits, at: int, blocks: list[_Tables], may_be_junk: bool) -> None:
    """Raise ImageRejectedError unless the bits behind the last block end its byte, or are junk."""
    rest_bytes = len(bits.data) - -(-at // 8)
    if rest_bytes == 0:
        return
    if not may_be_junk or not _is_filled_with_ones(bits, at) or _reads_as_blocks(bits, at, blocks):
        raise ImageRejectedError("damaged", f"{rest_bytes:,} bytes too many in a JPEG scan")


def _is_filled_with_ones(bits: _Bits, at: int) -> bool:
    fill_bits = -at % 8
    mask = (1 << fill_bits) - 1
    return fill_bits == 0 or bits.data[at >> 3] & mask == mask


def _reads_as_blocks(bits: _Bits, at: int, blocks: list[_Tables]) -> bool:
    """Whether whole MCUs fill all bytes from bit `at` on.

    Codes after a damaged one are soon read as they were written, in the right order of components.
    """
    try:
        while at <= len(bits.data) * 8 - 8 or not _is_filled_with_ones(bits, at):
            at = _walk_blocks(bits, at, blocks)
    except ImageRejectedError:
        return False
    return True
