"""Draw a dataset's contact sheet: the first images of each class, and the rejects by reason."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from itertools import chain
from typing import NamedTuple, Optional

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from halftone import archives, arrow, images, storage
from halftone.config import PixelSpec
from halftone.dataset import contact_sheet, schema
from halftone.dataset.splits import TRAIN
from halftone.dataset.stored_images import StoredImages
from halftone.image_boxes import split_box

# Limits that keep the sheet short enough to scroll through.
_MAX_CLASSES, _MAX_PER_GROUP = 60, 24
_MAX_SHARDS = 4
# Rejects with these reasons can be shown, and are safe to decode without the usual limits.
_SHOWN_REASONS = ("truncated", "damaged", "conflict", "too_small")

_PREVIEW_COLUMNS = [schema.PATH, schema.REASON, schema.DETAIL]

PreviewPixels = npt.NDArray[np.uint8]


def draw_dataset_sheet(
    shard_urls: Sequence[str],
    counts: Mapping[str, int],
    rejects_urls: Sequence[str],
    rejects_by_reason: Mapping[str, int],
    spec: PixelSpec,
    split: str = TRAIN,
) -> bytes:
    """Draw the first images of each class, and the rejects by reason, as a PNG.

    Args:
        shard_urls: shards of the split. Only the first few are read, as each holds all classes.
        counts: rows of the split by label, for the titles.
        rejects_urls: files of schema.REJECTS.
        rejects_by_reason: the number of all rejects by reason.
        spec: size and channels of the images.
        split: name for the titles.
    """
    groups = []
    images_by_label = _images_by_label(shard_urls, spec)
    for label in list(counts)[:_MAX_CLASSES]:
        title = f"{label}, {counts[label]:,} in {split}"
        groups.append((title, images_by_label.get(label, [])))
    if len(counts) > _MAX_CLASSES:
        groups.append((f"and {len(counts) - _MAX_CLASSES} more classes", []))
    previews = read_reject_previews(rejects_urls, rejects_by_reason, spec)
    for reason in sorted(rejects_by_reason):
        shown = [
            preview.pixels
            for preview in previews
            if preview.reason == reason and preview.pixels is not None
        ]
        groups.append((f"rejected: {reason}, {rejects_by_reason[reason]:,} in all", shown))
    return contact_sheet.draw_contact_sheet(groups)


def _images_by_label(urls: Sequence[str], spec: PixelSpec) -> dict[str, list[PreviewPixels]]:
    images_by_label: dict[str, list[PreviewPixels]] = {}
    num_by_label: Counter[str] = Counter()
    for url in urls[:_MAX_SHARDS]:
        table = storage.read_table(url, [schema.LABEL, schema.IMAGE])
        shown: list[tuple[int, str]] = []
        for row, label in enumerate(table[schema.LABEL].to_pylist()):
            if num_by_label[label] < _MAX_PER_GROUP:
                num_by_label[label] += 1
                shown.append((row, label))
        pixels = StoredImages(table[schema.IMAGE], spec, url).pixels([row for row, _ in shown])
        for image, (_, label) in zip(pixels, shown):
            images_by_label.setdefault(label, []).append(image)
    return images_by_label


class RejectPreview(NamedTuple):
    """A rejected image."""

    path: str
    reason: str
    detail: str
    pixels: Optional[PreviewPixels]  # None if it cannot be shown; may be incomplete


def read_reject_previews(
    urls: Sequence[str],
    rejects_by_reason: Mapping[str, int],
    spec: PixelSpec,
    max_per_reason: int = _MAX_PER_GROUP,
) -> list[RejectPreview]:
    """Return the first rejects of each reason, ordered by reason.

    Args:
        urls: files of schema.REJECTS, which are not read further than necessary.
        rejects_by_reason: the number of all rejects by reason.
        spec: the settings that the images were decoded with.
        max_per_reason: limit of the number of images per reason.
    """
    wanted = {reason: min(max_per_reason, count) for reason, count in rejects_by_reason.items()}
    found = _find_first(urls, wanted)
    previews = []
    for reason in sorted(found):
        paths = [path for path, _ in found[reason]]
        pixels = _decode_previews(paths, spec) if reason in _SHOWN_REASONS else [None] * len(paths)
        previews += [
            RejectPreview(path, reason, detail, image)
            for (path, detail), image in zip(found[reason], pixels)
        ]
    return previews


def _find_first(urls: Sequence[str], wanted: Mapping[str, int]) -> dict[str, list[tuple[str, str]]]:
    """Return path and detail of the first rejects of each reason, as many as are wanted."""
    found: dict[str, list[tuple[str, str]]] = {reason: [] for reason in wanted}
    missing = {reason for reason, count in wanted.items() if count}
    tables = chain.from_iterable(map(_iter_rejects, urls))
    while missing:
        table = next(tables, None)
        if table is None:
            break
        # A million rejects have a few reasons, so few rows become Python objects.
        is_missing = arrow.is_in(table[schema.REASON], arrow.string_array(sorted(missing)))
        rows = arrow.filter_rows(table, is_missing)
        for path, reason, detail in arrow.iter_rows(rows, *_PREVIEW_COLUMNS):
            if reason in missing:
                found[reason].append((path, detail))
                if len(found[reason]) == wanted[reason]:
                    missing.remove(reason)
    return found


def _iter_rejects(url: str) -> Iterator[pa.Table]:
    with storage.open_parquet(url) as file:
        for batch in file.iter_batches(columns=_PREVIEW_COLUMNS):
            yield pa.Table.from_batches([batch])


def _decode_previews(paths: Sequence[str], spec: PixelSpec) -> list[Optional[PreviewPixels]]:
    return [
        images.decode_preview(data, spec) if isinstance(data, bytes) else None
        for data in archives.read_images([split_box(path)[0] for path in paths])
    ]
