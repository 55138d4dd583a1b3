"""Pack samples and LZW codes into bytes."""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np

REVERSED_BITS = bytes(int(f"{byte:08b}"[::-1], 2) for byte in range(256))


def pack_rows(values: np.ndarray, bits: int, byte_order: str = ">") -> bytes:
    """(rows, samples) -> bytes, the first sample in the highest bits; each row ends at a byte."""
    if bits == 8:
        return values.astype(np.uint8).tobytes()
    if bits in (16, 32):
        return values.astype(f"{byte_order}u{bits // 8}").tobytes()
    shifts = np.arange(bits - 1, -1, -1)
    unpacked = (values[..., None] >> shifts & 1).astype(np.uint8)
    return np.packbits(unpacked.reshape(len(values), -1), axis=1).tobytes()


def lzw_codes(values: bytes, code_bits: int) -> Iterable[int]:
    """LZW of one code per value; a clear code comes before the codes would grow."""
    clear = 1 << code_bits
    for i, value in enumerate(values):
        if i % (clear - 3) == 0:
            yield clear
        yield value
    yield clear + 1


def pack_codes(codes: Iterable[int], size: int, lowest_bits_first: bool) -> bytes:
    """Pack codes of `size` bits each."""
    if lowest_bits_first:  # GIF
        number = sum(code << i * size for i, code in enumerate(codes))
        return number.to_bytes((number.bit_length() + 7) // 8, "little")
    text = "".join(f"{code:0{size}b}" for code in codes)  # TIFF
    return int(text.ljust(-(-len(text) // 8) * 8, "0"), 2).to_bytes(-(-len(text) // 8), "big")
