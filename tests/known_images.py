"""Listed and known images as small tables."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import NamedTuple

import pyarrow as pa

from halftone.preprocess.entries import ENTRIES, KNOWN
from tables import table


class Listed(NamedTuple):
    size_bytes: int
    modified: float
    label: str = "cat"
    split: int = 0


class Known(NamedTuple):
    listed: Listed
    status: str
    kept_key: str = ""


def as_entries(images: Mapping[str, Listed], unusable: Iterable[str] = ()) -> pa.Table:
    """Return ENTRIES of images, and of others that cannot be read."""
    return table(
        ENTRIES,
        *(
            (key, f"path/{key}", label, split, size_bytes, modified, 7, "", "", "")
            for key, (size_bytes, modified, label, split) in images.items()
        ),
        *((key, f"path/{key}", "", 0, 1, 10.0, 7, "unreadable", "why", "") for key in unusable),
    )


def as_known(images: Mapping[str, Known]) -> pa.Table:
    """Return KNOWN of images; `places` says in which rows of which files they are."""
    places_by_key = {key: place for place, key in places(images).items()}
    return table(
        KNOWN,
        *(
            (key, *listed, status, kept_key, *places_by_key[key])
            for key, (listed, status, kept_key) in images.items()
        ),
    )


def places(images: Mapping[str, Known]) -> dict[tuple[int, int], str]:
    """Return the key in each row of each file: file 0 has rows, 1 rejects, 2 duplicates."""
    files: list[list[str]] = [[], [], []]
    for key, image in images.items():
        files[{"row": 0, "duplicate": 2}.get(image.status, 1)].append(key)
    return {(file, row): key for file, keys in enumerate(files) for row, key in enumerate(keys)}
