"""The column of images of a shard: its pixels, whatever they are encoded as.

Every reader of shards decodes here.

Images are decoded by threads of the reader, not by tf.io.decode_jpeg in a map of tf.data: the
reader knows file and row, which the error of a damaged image names, and each image goes straight to
its place in a shuffled batch. Measured at 224 x 224, JPEGs take the same time both ways, PNGs a
sixth more here.
"""

from __future__ import annotations

from collections.abc import Sequence
from concurrent.futures import Executor
from typing import Any, NamedTuple, Optional, Union

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from halftone import arrow, images, storage
from halftone.arrow import Column
from halftone.config import PixelSpec
from halftone.errors import InputError

PixelArray = npt.NDArray[np.uint8]
# Indices of rows: of a target, or of the column.
Rows = Union[Sequence[int], npt.NDArray[np.integer[Any]]]

DAMAGE_CURE = "restore it, or run preprocess again with a new --output"
# Images that a thread decodes in one go: few enough to keep all threads busy until the end.
_IMAGES_AT_ONCE = 4
_Content = tuple[npt.NDArray[np.int32], npt.NDArray[np.uint8]]
_NO_CONTENT = (np.zeros(1, np.int32), np.zeros(0, np.uint8))


def read_shard(url: str, columns: Sequence[str]) -> pa.Table:
    """Read columns of a shard.

    Raises:
        InputError: it is missing or damaged.
    """
    try:
        return storage.read_table(url, list(columns))
    except FileNotFoundError:
        raise InputError(f"{url} is missing; {DAMAGE_CURE}") from None
    except pa.ArrowException as error:
        raise InputError(f"{url} is damaged ({error}); {DAMAGE_CURE}") from None
    except OSError as error:
        if error.errno is not None:  # of the operating system; Arrow's are of the content
            raise
        raise InputError(f"{url} is damaged ({error}); {DAMAGE_CURE}") from None


class StoredImages(NamedTuple):
    """Images of a file, one a row."""

    column: Column  # binary, as `images.encode_pixels` returns them
    spec: PixelSpec
    url: str  # of the file, for messages
    numbers: Optional[Rows] = None  # of its rows in the file, for messages; default: from 0

    def pixels(self, rows: Optional[Rows] = None) -> PixelArray:
        """Return the pixels of all images, or of some, (N, height, width, channels) uint8.

        Those of all images may be a view of the column.

        Raises:
            InputError: an image is damaged.
        """
        if self.spec.encoding == "raw":
            pixels = self._view_raw()
            return pixels if rows is None else pixels[rows]
        selected = range(len(self.column)) if rows is None else rows
        target = np.empty((len(selected), *self.spec.shape), np.uint8)
        self._decode(self._split_column(), selected, target, range(len(selected)))
        return target

    def copy_to(self, target: PixelArray, rows: Rows, threads: Executor) -> None:
        """Write the pixels of all images to `rows` of `target`.

        Args:
            target: (M, height, width, channels) uint8.
            rows: as many as there are images, all different.
            threads: decode images in parallel.

        Raises:
            InputError: an image is damaged.
        """
        if self.spec.encoding == "raw":
            target[rows] = self._view_raw()
            return
        content, num_images = self._split_column(), len(self.column)
        parts = []
        for start in range(0, num_images, _IMAGES_AT_ONCE):
            stop = min(start + _IMAGES_AT_ONCE, num_images)
            arguments = content, range(start, stop), target, rows[start:stop]
            parts.append(threads.submit(self._decode, *arguments))
        for part in parts:
            part.result()

    def _view_raw(self) -> PixelArray:
        try:
            return arrow.view_images(self.column, self.spec.shape)
        except ValueError as error:
            raise InputError(f"{self.url} is damaged ({error}); {DAMAGE_CURE}") from None

    def _split_column(self) -> _Content:
        """Return the offsets of the images in the bytes of the column, and these bytes."""
        return arrow.offsets_and_data(self.column) if len(self.column) else _NO_CONTENT

    def _decode(self, content: _Content, rows: Rows, target: PixelArray, target_rows: Rows) -> None:
        offsets, data = content
        for row, target_row in zip(rows, target_rows):
            stored = data[offsets[row] : offsets[row + 1]].tobytes()
            try:
                target[target_row] = images.decode_pixels(stored, self.spec)
            except images.ImageRejectedError as error:
                number = row if self.numbers is None else self.numbers[row]
                raise InputError(
                    f"{self.url}: the image of row {number} is damaged ({error.detail}); "
                    f"{DAMAGE_CURE}"
                ) from None
