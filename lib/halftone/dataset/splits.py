"""Assign images to splits and to positions in them: pure functions of (path, seed).

The split and the position of an image do not depend on other images, so they stay the same when
images are added. A class that is stratified has a salt, a number that is part of what is hashed:
the split of its images is a function of (path, seed, salt).
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Sequence
from typing import Optional

import numpy as np
import numpy.typing as npt

from halftone.image_boxes import split_box

TRAIN, VALIDATION, TEST = "train", "validation", "test"
SPLITS = (TRAIN, VALIDATION, TEST)
# One digest of 64 bytes is a number of 32 bits for each of 16 salts.
SALTS_PER_DIGEST = 16
_SALTED_RANGE = 2**32

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


def split_by_salt(
    path: str, seed: int, salt: int, validation_fraction: float, test_fraction: float
) -> str:
    """Return the split of an image whose class has a salt, as `split_by_hash` does."""
    block, number = divmod(salt, SALTS_PER_DIGEST)
    digest = _salted_digest(path, seed, block)
    position = int.from_bytes(digest[4 * number : 4 * number + 4], "big")
    if position < test_fraction * _SALTED_RANGE:
        return TEST
    is_validation = position < (test_fraction + validation_fraction) * _SALTED_RANGE
    return VALIDATION if is_validation else TRAIN


def count_by_salt(
    paths: Sequence[str],
    seed: int,
    salts: range,
    validation_fraction: float,
    test_fraction: float,
) -> npt.NDArray[np.int64]:
    """Count what `split_by_salt` returns with each salt.

    Args:
        salts: begins and ends with a multiple of SALTS_PER_DIGEST.

    Returns:
        int64 of shape (len(salts), 2): the numbers of validation and of test images.
    """
    blocks = range(salts.start // SALTS_PER_DIGEST, salts.stop // SALTS_PER_DIGEST)
    digests = b"".join(_salted_digest(path, seed, block) for path in paths for block in blocks)
    positions = np.frombuffer(digests, ">u4").reshape(len(paths), len(salts))
    num_test, num_held_out = (
        np.count_nonzero(positions < fraction * _SALTED_RANGE, axis=0)
        for fraction in (test_fraction, test_fraction + validation_fraction)
    )
    counts: npt.NDArray[np.int64] = np.stack([num_held_out - num_test, num_test], axis=1)
    return counts


def _salted_digest(path: str, seed: int, block: int) -> bytes:
    path, _ = split_box(path)  # boxes of an image stay together, as they may overlap
    return hashlib.blake2b(f"stratify:{seed}:{block}:{path}".encode(), digest_size=64).digest()


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
