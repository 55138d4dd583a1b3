"""CRC-32C of bytes, masked as in TFRecord files.

The state after some bytes is linear in its bits and theirs. So the states of words are computed all
at once, then joined in pairs, pairs of pairs and so on, with NumPy.
"""

from __future__ import annotations

from functools import cache

import numpy as np
import numpy.typing as npt

_POLYNOMIAL = 0x82F63B78  # with the lowest bit first
_ONES = 0xFFFFFFFF
_MASK_DELTA = 0xA282EAD8
# Fewer bytes take less time in a loop.
_FEW_BYTES = 64

_Words = npt.NDArray[np.uint32]
_ZERO: _Words = np.zeros(1, np.uint32)


def mask_crc(data: bytes) -> int:
    """Return the checksum that a TFRecord file has of its lengths and records."""
    crc = compute_crc(data)
    return (((crc >> 15) | (crc << 17)) + _MASK_DELTA) & _ONES


def compute_crc(data: bytes) -> int:
    """Return the CRC-32C, as in RFC 3720."""
    if len(data) >= _FEW_BYTES:
        return _compute_joined(data)
    state = _ONES
    for byte in data:
        state = _BYTES[(state ^ byte) & 0xFF] ^ (state >> 8)
    return state ^ _ONES


def _make_byte_table() -> list[int]:
    """Return what a byte makes of the state 0."""
    table = []
    for state in range(256):
        for _ in range(8):
            state = (state >> 1) ^ (_POLYNOMIAL if state & 1 else 0)
        table.append(state)
    return table


_BYTES = _make_byte_table()


def _compute_joined(data: bytes) -> int:
    start = -len(data) % 4
    padded = np.zeros(start + len(data), np.uint8)  # zeros in front leave the state 0 as it is
    padded[start:] = np.frombuffer(data, np.uint8)
    padded[start : start + 4] ^= 0xFF  # the same as to begin with ones
    states: _Words = padded.view("<u4").astype(np.uint32)
    level = 0
    while len(states) > 1:
        if len(states) % 2:
            states = np.concatenate([_ZERO, states])
        states = _advance(states[0::2], level) ^ states[1::2]
        level += 1
    return int(_advance(states, 0)[0]) ^ _ONES


def _advance(states: _Words, level: int) -> _Words:
    """Return what 4 x 2**level bytes of zeros make of states."""
    low, high = _half_tables(level)
    advanced: _Words = low[states & 0xFFFF] ^ high[states >> 16]
    return advanced


@cache  # 512 KiB for each doubling of the longest record
def _half_tables(level: int) -> tuple[_Words, _Words]:
    """Return what `_advance` makes of the lower and the upper half of a state."""
    halves = np.arange(2**16, dtype=np.uint32)
    if level:
        low, high = _half_tables(level - 1)
        return _advance(low, level - 1), _advance(high, level - 1)
    table = np.array(_BYTES, np.uint32)
    tables = []
    for states in (halves, halves << np.uint32(16)):
        for _ in range(4):
            states = table[states & 0xFF] ^ (states >> np.uint32(8))
        tables.append(states)
    return tables[0], tables[1]
