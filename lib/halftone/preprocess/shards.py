"""Plan which rows go to which shard, by pure functions."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import NamedTuple, Optional, Union

from halftone import arrow
from halftone.config import Config
from halftone.dataset.shard_files import ShardFile
from halftone.dataset.splits import SPLITS
from halftone.errors import InputError

_TARGET_BYTES = 16 * 2**20


class FileRows(NamedTuple):
    """The rows of one split that a staged part or an existing shard gives to the new version."""

    url: str
    split: str
    num_rows: int  # decoded, of the split, and neither dropped nor moved by one of the notes
    notes: tuple[str, ...] = ()  # URLs of the ROW_NOTES of the file
    shard: Optional[ShardFile] = None  # the existing shard, if it loses no row


class ShardSource(NamedTuple):
    """Consecutive rows among those of a `FileRows`."""

    url: str
    notes: tuple[str, ...]
    first: int
    num_rows: int


class Shard(NamedTuple):
    """A shard to write."""

    path: str  # below the dataset's root
    split: str
    sources: tuple[ShardSource, ...]

    @property
    def num_rows(self) -> int:
        return sum(source.num_rows for source in self.sources)


def rows_per_shard(setting: Union[str, int], row_bytes: int, num_rows: int, min_shards: int) -> int:
    """Return the rows per shard: the setting, or for `auto` the number that fits into 16 MiB.

    `auto` gives at least `min_shards` shards: each Horovod rank needs a row group of its own, so a
    small split gets small shards.
    """
    if isinstance(setting, int):
        return setting
    return max(1, min(_TARGET_BYTES // row_bytes, num_rows // min_shards))


def stable_rows_per_shard(file_rows: Sequence[FileRows], split: str, target_rows: int) -> int:
    """Return the shard size of the split's existing shards, or `target_rows` if twice as large.

    If it always returned `target_rows`, a dataset that grows every night would change the size of
    its shards each time, and rewrite all of them.
    """
    existing_rows = max(
        (file.shard.rows for file in file_rows if file.shard and file.shard.split == split),
        default=0,
    )
    return existing_rows if target_rows < 2 * existing_rows else target_rows


def shard_sizes(
    config: Config, counts: Mapping[str, Mapping[str, int]], file_rows: Sequence[FileRows]
) -> dict[str, int]:
    """Return the rows per shard of each split.

    Args:
        counts: rows by split and label.

    Raises:
        InputError: preprocess.rows_per_shard gives shards of 2 GiB or more.
    """
    pixels, settings = config.pixels, config.preprocess
    max_rows = arrow.MAX_ARRAY_BYTES // pixels.image_bytes
    sizes = {}
    for split in SPLITS:
        num_rows = sum(counts[split].values())
        target_rows = rows_per_shard(
            settings.rows_per_shard, pixels.image_bytes, num_rows, settings.min_shards
        )
        if min(target_rows, num_rows) > max_rows:
            raise InputError(
                f"preprocess.rows_per_shard {settings.rows_per_shard}: a shard of "
                f"{target_rows} rows of {pixels.image_bytes} bytes is 2 GiB or more; use at most "
                f"{max_rows}, or auto"
            )
        sizes[split] = (
            stable_rows_per_shard(file_rows, split, target_rows)
            if settings.rows_per_shard == "auto"
            else target_rows
        )
    return sizes


def plan_shards(
    file_rows: Sequence[FileRows], num_rows_per_shard: Mapping[str, int], run_name: str
) -> tuple[list[ShardFile], list[Shard]]:
    """Cut the rows of each split into shards of equal size; only the last may be shorter.

    An existing shard that is full and lost no row stays unchanged. A shorter one stays unchanged
    until there are rows to fill it up: its rows and the new ones then become new shards.

    Args:
        file_rows: in the dataset's order, existing shards before staged parts.
        num_rows_per_shard: by split.
        run_name: names the new files; differs for every other input and config.

    Returns:
        The shards that stay unchanged, and the shards to write, both in the order of SPLITS.
    """
    unchanged: list[ShardFile] = []
    planned: list[Shard] = []
    for split in SPLITS:
        size = num_rows_per_shard[split]
        files = [file for file in file_rows if file.split == split and file.num_rows]
        keeps_short = all(file.shard and file.num_rows <= size for file in files)
        sources: list[ShardSource] = []
        for file in files:
            if file.shard and (keeps_short or file.num_rows == size):
                unchanged.append(file.shard)
            else:
                sources.append(ShardSource(file.url, file.notes, 0, file.num_rows))
        for number, shard_sources in enumerate(_cut_shards(sources, size)):
            path = f"{split}/{run_name}-{number:05d}.parquet"
            planned.append(Shard(path, split, shard_sources))
    return unchanged, planned


def _cut_shards(sources: Sequence[ShardSource], num_rows: int) -> list[tuple[ShardSource, ...]]:
    """Return the sources of each shard, `num_rows` rows per shard but for the last."""
    shards: list[tuple[ShardSource, ...]] = []
    open_shard: list[ShardSource] = []
    free_rows = num_rows
    for url, notes, first, num_source_rows in sources:
        end = first + num_source_rows
        while first < end:
            taken = min(free_rows, end - first)
            open_shard.append(ShardSource(url, notes, first, taken))
            first, free_rows = first + taken, free_rows - taken
            if not free_rows:
                shards.append(tuple(open_shard))
                open_shard, free_rows = [], num_rows
    return [*shards, tuple(open_shard)] if open_shard else shards
