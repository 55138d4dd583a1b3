"""Check that the files of a dataset are there with the size that its manifest states."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import suppress

from halftone import storage
from halftone.dataset.manifest import Manifest, read_shards
from halftone.dataset.splits import SPLITS
from halftone.errors import InputError


def check_shards(root: str, manifest: Manifest, splits: Sequence[str] = SPLITS) -> None:
    """Check the shards of some splits, at the cost of one listing for each.

    Raises:
        InputError: a shard is missing or has another size.
    """
    _raise_if_any(
        root, [damage for split in splits for damage in _find_damage(root, manifest, split)]
    )


def check_all_files(root: str, manifest: Manifest) -> None:
    """Check the shards, and the tables of rejects and duplicates.

    Raises:
        InputError: a file is missing, or has another size or another number of rows.
    """
    check_shards(root, manifest)
    tables = (
        (manifest.rejects_files, manifest.rejects),
        (manifest.duplicates_files, manifest.duplicates),
        (manifest.near_duplicates_files, manifest.near_duplicates),
    )
    for files, num_rows in tables:
        counts = {file: storage.count_rows(storage.join(root, file)) for file in files}
        _raise_if_any(
            root,
            [f"{file} is missing or damaged" for file, count in counts.items() if count is None],
        )
        found = sum(filter(None, counts.values()))
        if found != num_rows:
            _raise_if_any(root, [f"{', '.join(files)} has {found} rows instead of {num_rows}"])


def _find_damage(root: str, manifest: Manifest, split: str) -> Iterator[str]:
    """Yield a description of each damaged shard of a split."""
    shards = read_shards(root, manifest, split)
    if not shards:
        return
    sizes: dict[str, int] = {}
    with suppress(FileNotFoundError):  # all files of the split are missing
        for file in storage.list_files(storage.join(root, split)):
            sizes[f"{split}/{file.path}"] = file.size_bytes
    for shard in shards:
        if shard.path not in sizes:
            yield f"{shard.path} is missing"
        elif sizes[shard.path] != shard.size_bytes:
            yield f"{shard.path} has {sizes[shard.path]:,} bytes instead of {shard.size_bytes:,}"


def _raise_if_any(root: str, damages: Sequence[str]) -> None:
    if damages:
        others = len(damages) - 1
        more = f" (and {others:,} other file{'s' * (others > 1)})" if others else ""
        raise InputError(
            f"{root}: {damages[0]}{more}; restore it from a backup, or remove the dataset and run "
            "jobs/preprocess.py again"
        )
