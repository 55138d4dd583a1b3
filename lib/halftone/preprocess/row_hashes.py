"""Digests of rows that do not depend on their order, so that workers can add up parts of them."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Sequence
from typing import Any

HASH_RANGE = 2**128


def hash_values(values: Sequence[Any]) -> int:
    """Map values to 0 ... HASH_RANGE - 1."""
    digest = hashlib.blake2b(json.dumps(values).encode(), digest_size=16).digest()
    return int.from_bytes(digest, "big")


def sum_hashes(rows: Iterable[Sequence[Any]]) -> int:
    """Return the digest of rows: the sum of their hashes, modulo HASH_RANGE."""
    return sum(map(hash_values, rows)) % HASH_RANGE
