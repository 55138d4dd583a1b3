"""Assign images to splits and to positions in them: pure functions of (path, seed).

The split and the position of an image do not depend on other images, so they stay the same when
images are added.
"""

from __future__ import annotations

import hashlib
import re
from typing import Optional

TRAIN, VALIDATION, TEST = "train", "validation", "test"
SPLITS = (TRAIN, VALIDATION, TEST)

# The names of splits that data sets use.
SPLIT_NAMES = {
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
    """Map `text` uniformly to [0, 1); the same on every machine and in every version."""
    return hash_to_uint64(text, seed, purpose) / 2**64


def hash_to_uint64(text: str, seed: int, purpose: str) -> int:
    """Map `text` uniformly to 0 ... 2**64 - 1; different purposes give independent numbers."""
    digest = hashlib.blake2b(f"{purpose}:{seed}:{text}".encode(), digest_size=8).digest()
    return int.from_bytes(digest, "big")


def split_by_hash(group: str, seed: int, validation_fraction: float, test_fraction: float) -> str:
    """Return the split of a group of images (a single image is a group of one).

    The test split is the range from 0 to `test_fraction`, so a change of `validation_fraction`
    moves no image into or out of it.
    """
    position = hash_to_fraction(group, seed, "split")
    if position < test_fraction:
        return TEST
    return VALIDATION if position < test_fraction + validation_fraction else TRAIN


def split_by_fold(group: str, seed: int, fold: int, folds: int) -> str:
    """Return the split of a group if fold `fold` (from 0) of `folds` is the validation split."""
    return VALIDATION if int(hash_to_fraction(group, seed, "fold") * folds) == fold else TRAIN


def parse_split_name(name: str) -> Optional[str]:
    """Return the split that `name` stands for in data sets, or None if there is none."""
    return SPLIT_NAMES.get(name.strip().lower())


def capture_from_path(pattern: re.Pattern[str], path: str) -> Optional[str]:
    """Search `path` for `pattern` and return what its one group captures, or None."""
    match = pattern.search(path)
    return match.group(1) if match else None
