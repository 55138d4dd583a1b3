"""Draw a dataset's contact sheet: the first images of each class, and the rejects by reason."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import repeat, starmap
from typing import NamedTuple, Optional

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from halftone import arrow, images, storage
from halftone.config import PixelSpec
from halftone.dataset import contact_sheet, schema
from halftone.dataset.splits import TRAIN

# Limits that keep the sheet short enough to scroll through.
_MAX_CLASSES, _MAX_PER_GROUP = 60, 24
_MAX_SHARDS = 4
# Rejects with these reasons can be shown, and are safe to decode without the usual limits.
_SHOWN_REASONS = ("truncated", "damaged", "conflict", "too_small")

PreviewPixels = npt.NDArray[np.uint8]


def draw_dataset_sheet(
    shard_urls: Sequence[str],
    counts: dict[str, int],
    rejects: pa.Table,
    spec: PixelSpec,
    split: str = TRAIN,
) -> bytes:
    """Draw the first images of each class, and the rejects by reason, as a PNG.

    Args:
        shard_urls: shards of the split. Only the first few are read, as each holds all classes.
        counts: rows of the split by label, for the titles.
        rejects: schema.REJECTS.
        spec: size and channels of the images.
        split: name for the titles.
    """
    groups = []
    images_by_label = _images_by_label(shard_urls, spec.shape)
    for label in list(counts)[:_MAX_CLASSES]:
        title = f"{label}, {counts[label]:,} in {split}"
        groups.append((title, images_by_label.get(label, [])))
    if len(counts) > _MAX_CLASSES:
        groups.append((f"and {len(counts) - _MAX_CLASSES} more classes", []))
    for reason, count, previews in _previews_by_reason(rejects, spec):
        shown = [preview.pixels for preview in previews if preview.pixels is not None]
        groups.append((f"rejected: {reason}, {count:,} in all", shown))
    return contact_sheet.draw_contact_sheet(groups)


def _images_by_label(
    urls: Sequence[str], shape: tuple[int, int, int]
) -> dict[str, list[PreviewPixels]]:
    images_by_label: dict[str, list[PreviewPixels]] = {}
    for url in urls[:_MAX_SHARDS]:
        table = storage.read_table(url, [schema.LABEL, schema.IMAGE])
        for row, label in enumerate(table[schema.LABEL].to_pylist()):
            label_images = images_by_label.setdefault(label, [])
            if len(label_images) < _MAX_PER_GROUP:
                data = table[schema.IMAGE][row].as_buffer()
                label_images.append(np.frombuffer(data, np.uint8).reshape(shape))
    return images_by_label


class RejectPreview(NamedTuple):
    """A rejected image."""

    path: str
    reason: str
    detail: str
    pixels: Optional[PreviewPixels]  # None if it cannot be shown; may be incomplete


def read_reject_previews(
    urls: Sequence[str], spec: PixelSpec, max_per_reason: int = _MAX_PER_GROUP
) -> list[RejectPreview]:
    """Return the first rejects of each reason.

    Args:
        urls: files of schema.REJECTS.
        spec: the settings that the images were decoded with.
        max_per_reason: limit of the number of images per reason.
    """
    tables = [storage.read_table(url) for url in urls]
    rejects = pa.concat_tables([arrow.empty_table(schema.REJECTS), *tables])
    by_reason = _previews_by_reason(rejects, spec, max_per_reason)
    return [preview for _, _, previews in by_reason for preview in previews]


def _previews_by_reason(
    rejects: pa.Table, spec: PixelSpec, max_per_reason: int = _MAX_PER_GROUP
) -> Iterator[tuple[str, int, list[RejectPreview]]]:
    """Yield each reason, the number of rejects with it, and previews of the first of them."""
    reasons = rejects[schema.REASON]
    for reason in sorted(pc.unique(reasons).to_pylist()):
        rows = np.flatnonzero(arrow.is_in(reasons, arrow.string_array([reason])))
        first = arrow.take_rows(rejects, rows[:max_per_reason])
        paths = first[schema.PATH].to_pylist()
        pixels = _decode_previews(paths, spec) if reason in _SHOWN_REASONS else [None] * len(paths)
        fields = zip(paths, repeat(reason), first[schema.DETAIL].to_pylist(), pixels)
        yield reason, len(rows), list(starmap(RejectPreview, fields))


def _decode_previews(paths: Sequence[str], spec: PixelSpec) -> list[Optional[PreviewPixels]]:
    return [
        images.decode_preview(data, spec) if isinstance(data, bytes) else None
        for data in storage.read_files(paths)
    ]
