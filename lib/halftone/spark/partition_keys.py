"""Integers that Spark's hash puts into chosen partitions.

`repartition(n, column)` puts the rows with a value into partition `hash(value) mod n`. With the
values 0 to n - 1, one partition in three would be empty, and another would have the work of
several. With these values, each partition has one.
"""

from __future__ import annotations

_BITS = 32
_MASK = (1 << _BITS) - 1
_SEED = 42


def partition_keys(num_partitions: int) -> list[int]:
    """Return for each partition of `repartition(num_partitions, column)` an int of Spark in it."""
    keys: dict[int, int] = {}
    value = 0
    while len(keys) < num_partitions:
        keys.setdefault(_hash_int(value) % num_partitions, value)
        value += 1
    return [keys[partition] for partition in range(num_partitions)]


def _hash_int(value: int) -> int:
    """Return Spark's `hash` of a column of type int: MurmurHash3 (x86, 32 bits), signed."""
    mixed = _rotate(value * 0xCC9E2D51 & _MASK, 15) * 0x1B873593 & _MASK
    state = (_rotate(_SEED ^ mixed, 13) * 5 + 0xE6546B64) & _MASK
    state ^= 4  # bytes of an int
    state = (state ^ state >> 16) * 0x85EBCA6B & _MASK
    state = (state ^ state >> 13) * 0xC2B2AE35 & _MASK
    state ^= state >> 16
    return state - (1 << _BITS) if state >> (_BITS - 1) else state


def _rotate(value: int, bits: int) -> int:
    return (value << bits | value >> (_BITS - bits)) & _MASK
