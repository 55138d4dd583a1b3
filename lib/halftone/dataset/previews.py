"""A dataset's contact sheet: what each class looks like now, and what was rejected."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import repeat
from typing import NamedTuple, Optional

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from halftone import arrow, images, storage
from halftone.config import PixelSpec
from halftone.dataset import contact_sheet, schema
from halftone.dataset.splits import TRAIN

# More would make a picture that no one scrolls through.
_MAX_CLASSES, _MAX_PER_GROUP = 60, 24
_MAX_SHARDS = 4
# Reasons for which there is something to see, and no danger in decoding it without care.
_SHOWN_REASONS = ("truncated", "damaged", "conflict", "too_small")

PreviewPixels = npt.NDArray[np.uint8]


def draw_dataset_sheet(
    shard_urls: Sequence[str],
    counts: dict[str, int],
    rejects: pa.Table,
    spec: PixelSpec,
    split: str = TRAIN,
) -> bytes:
    """Draw the first images of each class, and rejects by reason, as a PNG.

    Args:
        shard_urls: of the split; the first few are read, as each holds all classes.
        counts: rows of the split by label, for the titles.
        rejects: schema.REJECTS.
    """
    groups = []
    found = _images_by_label(shard_urls, (spec.height_px, spec.width_px, spec.channels))
    for label in list(counts)[:_MAX_CLASSES]:
        title = f"{label}, {counts[label]:,} in {split}"
        groups.append((title, found.get(label, [])))
    if len(counts) > _MAX_CLASSES:
        groups.append((f"and {len(counts) - _MAX_CLASSES} more classes", []))
    for reason, count, first in _previews_by_reason(rejects, spec):
        seen = [one.pixels for one in first if one.pixels is not None]
        groups.append((f"rejected: {reason}, {count:,} in all", seen))
    return contact_sheet.draw_contact_sheet(groups)


def _images_by_label(
    urls: Sequence[str], shape: tuple[int, int, int]
) -> dict[str, list[PreviewPixels]]:
    found: dict[str, list[PreviewPixels]] = {}
    for url in urls[:_MAX_SHARDS]:
        table = storage.read_table(url, [schema.LABEL, schema.IMAGE])
        for row, label in enumerate(table[schema.LABEL].to_pylist()):
            own = found.setdefault(label, [])
            if len(own) < _MAX_PER_GROUP:
                data = table[schema.IMAGE][row].as_buffer()
                own.append(np.frombuffer(data, np.uint8).reshape(shape))
    return found


class RejectPreview(NamedTuple):
    """An image that gave no row."""

    path: str
    reason: str
    detail: str
    pixels: Optional[PreviewPixels]  # as far as it can be shown


def read_reject_previews(
    urls: Sequence[str], spec: PixelSpec, max_per_reason: int = _MAX_PER_GROUP
) -> list[RejectPreview]:
    """Return the first rejects of each reason.

    Args:
        urls: of files of schema.REJECTS.
        most: of a reason.
    """
    tables = [storage.read_table(url) for url in urls]
    rejects = pa.concat_tables([arrow.empty_table(schema.REJECTS), *tables])
    return [one for _, _, own in _previews_by_reason(rejects, spec, max_per_reason) for one in own]


def _previews_by_reason(
    rejects: pa.Table, spec: PixelSpec, most: int = _MAX_PER_GROUP
) -> Iterator[tuple[str, int, list[RejectPreview]]]:
    """Yield each reason, how many there are of it, and the first of them."""
    reasons = rejects[schema.REASON]
    for reason in sorted(pc.unique(reasons).to_pylist()):
        own = np.flatnonzero(arrow.is_in(reasons, arrow.string_array([reason])))
        first = arrow.take_rows(rejects, own[:most])
        paths = first[schema.PATH].to_pylist()
        shown = _decode_previews(paths, spec) if reason in _SHOWN_REASONS else [None] * len(paths)
        details = first[schema.DETAIL].to_pylist()
        yield (
            reason,
            len(own),
            [RejectPreview(*one) for one in zip(paths, repeat(reason), details, shown)],
        )


def _decode_previews(paths: Sequence[str], spec: PixelSpec) -> list[Optional[PreviewPixels]]:
    return [
        images.decode_preview(data, spec) if isinstance(data, bytes) else None
        for data in storage.read_files(paths)
    ]
