"""Find the rows on which one model is right and the other is wrong, and their pictures.

Workers read the predictions of both models shard by shard, in which the rows are in the same order.
The driver gets at most MAX_ROWS rows of each side from each task, and pictures of these alone.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from functools import partial
from typing import Final, NamedTuple, Optional

import numpy as np
import numpy.typing as npt
import pyarrow as pa
from pyspark.sql import SparkSession

from halftone import arrow, storage
from halftone.config import PixelSpec
from halftone.dataset import schema
from halftone.dataset.shard_files import ShardFile
from halftone.dataset.stored_images import StoredImages
from halftone.retrain.gate.paired_counts import different_rows_error
from halftone.scoring import predictions
from halftone.spark import actions, frames
from halftone.spark.actions import ActionProgress
from halftone.spark.frames import MAX_READ_TASKS, build_table, create_frame

MAX_ROWS: Final = 24  # of each side
LOST: Final = "lost"  # the champion is right and the challenger wrong
WON: Final = "won"  # the other way round

# The predictions of a shard by both models.
_FILE_PAIRS = pa.schema(
    [
        pa.field("shard", pa.int32()),
        pa.field("champion", pa.string()),
        pa.field("challenger", pa.string()),
    ]
)
# A row that changed sides, or without a key, the number of rows of a task that did.
_CHANGES = pa.schema(
    [
        pa.field("side", pa.string()),
        pa.field("count", pa.int64()),
        pa.field(schema.KEY, pa.string()),
        pa.field(schema.LABEL, pa.string()),
        pa.field("champion", pa.string()),
        pa.field("challenger", pa.string()),
        pa.field("champion_probability", pa.float64()),
        pa.field("challenger_probability", pa.float64()),
        pa.field("shard", pa.int32()),
        pa.field("row", pa.int64()),
    ]
)
_PICTURE_ROWS = pa.schema(
    [
        pa.field("shard", pa.int32()),
        pa.field("url", pa.string()),
        pa.field("rows", pa.list_(pa.int64())),
    ]
)
_PICTURES = pa.schema(
    [
        pa.field("shard", pa.int32()),
        pa.field("row", pa.int64()),
        pa.field("pixels", pa.binary()),
    ]
)
_COLUMNS = [schema.KEY, schema.LABEL, schema.PREDICTION, schema.PROBABILITY]


class ChangedRow(NamedTuple):
    """A row that one of the models predicts correctly. Probabilities are of the predictions."""

    side: str  # LOST or WON
    key: str
    label: str
    champion: str
    challenger: str
    champion_probability: float
    challenger_probability: float
    shard: int  # its number in the split
    row: int  # in the shard

    @property
    def wrong_probability(self) -> float:
        """The probability that the model that is wrong gave its prediction."""
        return self.challenger_probability if self.side == LOST else self.champion_probability


class ChangedRows(NamedTuple):
    """The rows of one side."""

    num_rows: int
    shown: list[ChangedRow]  # at most MAX_ROWS, the most confident mistakes first


def find_changed_rows(
    session: Optional[SparkSession],
    labels: Sequence[str],
    champion_files: Sequence[str],
    challenger_files: Sequence[str],
) -> dict[str, ChangedRows]:
    """Compare the predictions of both models; return the rows by side.

    Args:
        session: None for few rows, see `create_frame`.
        labels: the classes of both models.
        champion_files, challenger_files: URLs of the predictions of the same split of one dataset,
            one file per shard.

    Raises:
        RunError: the scores are not of the same rows.
    """
    pairs = [(number, *urls) for number, urls in enumerate(zip(champion_files, challenger_files))]
    frame = create_frame(session, build_table(pairs, _FILE_PAIRS), MAX_READ_TASKS)
    changes = frames.map_tables(frame, partial(_find_in_shards, tuple(labels)), _CHANGES)
    found = actions.collect_rows(changes, ActionProgress("compare", "find rows that changed sides"))
    rows = [ChangedRow(row[0], *row[2:]) for row in found if row.key]
    return {
        side: ChangedRows(
            sum(row["count"] for row in found if row.side == side),
            _most_confident(row for row in rows if row.side == side),
        )
        for side in (LOST, WON)
    }


def read_pictures(
    session: Optional[SparkSession],
    dataset: str,
    shards: Sequence[ShardFile],
    pixels: PixelSpec,
    rows: Sequence[ChangedRow],
) -> dict[str, npt.NDArray[np.uint8]]:
    """Return the pixels (H, W, C) of rows by their keys, from the shards that hold them.

    Args:
        session: None for few rows, see `create_frame`.
        dataset: URL of the dataset.
        shards: of the split that was scored, in order.
        pixels: how the dataset stores images.
        rows: of this split.
    """
    numbers = sorted({row.shard for row in rows})
    wanted = [
        (number, storage.join(dataset, shards[number].path), sorted(
            row.row for row in rows if row.shard == number
        ))
        for number in numbers
    ]  # fmt: skip
    if not wanted:
        return {}
    frame = create_frame(session, build_table(wanted, _PICTURE_ROWS), MAX_READ_TASKS)
    pictures = frames.expand_rows(frame, partial(_read_rows, pixels), _PICTURES)
    progress = ActionProgress("compare", "read pictures of rows that changed sides")
    found = {
        (picture.shard, picture.row): np.frombuffer(picture.pixels, np.uint8).reshape(pixels.shape)
        for picture in actions.collect_rows(pictures, progress)
    }
    return {row.key: found[row.shard, row.row] for row in rows}


def _find_in_shards(labels: Sequence[str], tables: Iterable[pa.Table]) -> Iterator[pa.Table]:
    """Yield _CHANGES of the shards of a task; runs in a worker."""
    counts = {LOST: 0, WON: 0}
    kept: dict[str, list[ChangedRow]] = {LOST: [], WON: []}
    for table in tables:
        for shard, champion, challenger in arrow.iter_rows(table, *_FILE_PAIRS.names):
            for side, rows in _compare_shard(labels, shard, champion, challenger).items():
                counts[side] += len(rows)
                kept[side] = _most_confident([*kept[side], *rows])
    found = [
        *((side, count, "", "", "", "", 0.0, 0.0, 0, 0) for side, count in counts.items()),
        *((row.side, 0, *row[1:]) for side in kept for row in kept[side]),
    ]
    yield build_table(found, _CHANGES)


def _compare_shard(
    labels: Sequence[str], shard: int, champion_file: str, challenger_file: str
) -> dict[str, list[ChangedRow]]:
    champion, challenger = (
        storage.read_table(url, _COLUMNS) for url in (champion_file, challenger_file)
    )
    if champion[schema.KEY] != challenger[schema.KEY]:
        raise different_rows_error(champion_file, challenger_file)
    names = arrow.string_array(labels)
    label_ids = arrow.index_in(champion[schema.LABEL], names)
    before, now = (
        arrow.index_in(side[schema.PREDICTION], names) for side in (champion, challenger)
    )
    was_right, is_right = before == label_ids, now == label_ids
    numbers = np.flatnonzero(was_right != is_right)
    keys = arrow.take_rows(champion.select([schema.KEY]), numbers)[schema.KEY].to_pylist()
    probabilities = [
        predictions.read_probabilities(side[schema.PROBABILITY], len(labels))[
            numbers, ids[numbers]
        ].tolist()
        for side, ids in ((champion, before), (challenger, now))
    ]
    changed: dict[str, list[ChangedRow]] = {LOST: [], WON: []}
    for key, row, first, second in zip(keys, numbers.tolist(), *probabilities):
        side = LOST if was_right[row] else WON
        label, one, other = (labels[ids[row]] for ids in (label_ids, before, now))
        changed[side].append(ChangedRow(side, key, label, one, other, first, second, shard, row))
    return changed


def _most_confident(rows: Iterable[ChangedRow]) -> list[ChangedRow]:
    return sorted(rows, key=lambda row: (-row.wrong_probability, row.key))[:MAX_ROWS]


def _read_rows(pixels: PixelSpec, shard: int, url: str, rows: Sequence[int]) -> Iterator[pa.Table]:
    """Yield _PICTURES of rows of a shard; runs in a worker."""
    column = storage.read_table(url, [schema.IMAGE])[schema.IMAGE]
    images = StoredImages(column, pixels, url).pixels(list(rows))
    values = [(shard, row, image.tobytes()) for row, image in zip(rows, images)]
    yield build_table(values, _PICTURES)
