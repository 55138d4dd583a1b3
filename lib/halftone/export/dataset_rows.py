"""Rows of a dataset, a bounded number, with which an export is compared and calibrated."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from halftone import arrow, storage
from halftone.dataset import integrity, manifest, schema
from halftone.dataset.manifest import Manifest
from halftone.dataset.splits import TEST, TRAIN, VALIDATION
from halftone.dataset.stored_images import StoredImages, read_shard
from halftone.errors import InputError

# The first of them that has rows.
TEST_SPLITS, CALIBRATION_SPLITS = (TEST, VALIDATION, TRAIN), (VALIDATION, TRAIN)


class LabelledImages(NamedTuple):
    """Some rows."""

    pixels: npt.NDArray[np.uint8]  # (N, H, W, C)
    label_ids: npt.NDArray[np.int64]  # (N,)


class DatasetRows(NamedTuple):
    """The first rows of a split, whose order is that of a hash: a random sample."""

    dataset: str  # URL
    data: Manifest
    split: str
    num_rows: int

    def __str__(self) -> str:
        return f"the {self.split} split of {self.dataset}"

    def batches(self, batch_size: int) -> Iterator[LabelledImages]:
        """Yield all rows, at most `batch_size` at a time; one shard is in memory.

        Raises:
            InputError: a shard or an image is damaged.
        """
        missing = self.num_rows
        for shard in manifest.read_shards(self.dataset, self.data, self.split):
            url = storage.join(self.dataset, shard.path)
            table = read_shard(url, [schema.IMAGE, schema.LABEL_ID])
            pixels = StoredImages(table[schema.IMAGE], self.data.pixels, url).pixels()
            label_ids = arrow.to_numpy(table[schema.LABEL_ID]).astype(np.int64)
            for start in range(0, min(missing, len(pixels)), batch_size):
                stop = min(start + batch_size, missing, len(pixels))
                yield LabelledImages(pixels[start:stop], label_ids[start:stop])
            missing -= min(missing, len(pixels))
            if not missing:
                return


def first_rows(dataset: str, data: Manifest, splits: Sequence[str], max_rows: int) -> DatasetRows:
    """Return at most `max_rows` rows of the first of `splits` that has any.

    Raises:
        InputError: none has; or a shard is missing.
    """
    for split in splits:
        num_rows = data.totals(split).rows
        if num_rows:
            integrity.check_shards(dataset, data, [split])
            return DatasetRows(dataset, data, split, min(num_rows, max_rows))
    raise InputError(f"{dataset}: no rows in {', '.join(splits)}; preprocess more images")
