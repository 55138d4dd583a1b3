"""Which split an image goes to, and where in it: pure functions of (path, seed).

No image's place depends on any other image, so a split stays as it is when more images arrive.
"""

from __future__ import annotations

import hashlib
import re
from typing import Optional

TRAIN, VALIDATION, TEST = "train", "validation", "test"
SPLITS = (TRAIN, VALIDATION, TEST)

# How data sets name the splits that they bring.
_SPLIT_NAMES = {
    "train": TRAIN,
    "training": TRAIN,
    "val": VALIDATION,
    "valid": VALIDATION,
    "validation": VALIDATION,
    "dev": VALIDATION,
    "test": TEST,
    "testing": TEST,
}


def hash_to_fraction(text: str, seed: int, purpose: str) -> float:
    """Map `text` to [0, 1), evenly, the same everywhere and for ever."""
    return hash_to_uint64(text, seed, purpose) / 2**64


def hash_to_uint64(text: str, seed: int, purpose: str) -> int:
    """Map `text` to 0 ... 2**64 - 1, evenly. Two purposes give independent numbers."""
    digest = hashlib.blake2b(f"{purpose}:{seed}:{text}".encode(), digest_size=8).digest()
    return int.from_bytes(digest, "big")


def split_by_hash(group: str, seed: int, validation_fraction: float, test_fraction: float) -> str:
    """Return the split of a group of images (an image alone is a group of one).

    The test split comes first on the line from 0 to 1, so that a change of
    `validation_fraction` moves no image into or out of it.
    """
    place = hash_to_fraction(group, seed, "split")
    if place < test_fraction:
        return TEST
    return VALIDATION if place < test_fraction + validation_fraction else TRAIN


def split_by_fold(group: str, seed: int, fold: int, folds: int) -> str:
    """Return the split of a group when fold number `fold` of `folds` is held out."""
    return VALIDATION if int(hash_to_fraction(group, seed, "fold") * folds) == fold else TRAIN


def parse_split_name(name: str) -> Optional[str]:
    """Return the split that a data set's own `name` for it means, or None if it means none."""
    return _SPLIT_NAMES.get(name.lower())


def capture_from_path(pattern: re.Pattern[str], path: str) -> Optional[str]:
    """Return what the one group of `pattern` captures anywhere in `path`, or None."""
    match = pattern.search(path)
    return match.group(1) if match else None
