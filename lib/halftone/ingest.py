"""One block of images, read and decoded into a staged part. Runs in Spark's Python workers.

A part is a Parquet file in the dataset's staging folder. Its name says which images it holds and
how they were treated, so a rerun after a kill takes the parts that are there.
"""

from __future__ import annotations

import hashlib
from collections import deque
from collections.abc import Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from itertools import islice
from typing import Any, NamedTuple, Union

import pyarrow as pa

from halftone import images, storage

OK = "ok"

# A staged image: what a row of the dataset needs, or why there will be none.
PART = pa.schema(
    [
        pa.field("path", pa.string()),
        pa.field("label", pa.string()),
        pa.field("split", pa.int8()),
        pa.field("status", pa.string()),  # OK or a reason
        pa.field("detail", pa.string()),
        pa.field("image", pa.binary()),  # empty unless OK
        pa.field("source_height_px", pa.int32()),
        pa.field("source_width_px", pa.int32()),
        pa.field("source_bytes", pa.int64()),
        pa.field("source_modified", pa.float64()),
        pa.field("source_sha256", pa.binary(32)),  # zeros where the file could not be read
    ]
)


class Work(NamedTuple):
    """What every block has in common."""

    root: str  # folder of images
    plan: str  # Parquet file of catalogue.ENTRIES, one row group a block
    parts: str  # folder for the staged parts
    pixels: images.PixelSpec
    read_threads: int


def part_url(work: Work, block: int) -> str:
    return storage.join(work.parts, f"part-{block:06d}.parquet")


def stage_block(work: Work, block: int) -> int:
    """Decode the images of a block into its part; return how many there are.

    Every image of the block has a row in the part, whatever became of it.
    """
    entries = storage.read_row_group(work.plan, block).to_pylist()
    url = part_url(work, block)
    if not storage.exists(url):
        rows = [_staged(entry, data, work.pixels) for entry, data in _read_ahead(entries, work)]
        storage.write_table(url, pa.Table.from_pylist(rows, schema=PART))
    return len(entries)


def _read_ahead(
    entries: Iterable[dict[str, Any]], work: Work
) -> Iterator[tuple[dict[str, Any], Union[bytes, OSError]]]:
    """Yield entries with their files' bytes, in order, while threads read the next ones."""
    with ThreadPoolExecutor(work.read_threads) as pool:
        waiting: deque[tuple[dict[str, Any], Future[bytes]]] = deque()
        source = iter(entries)
        for entry in islice(source, 2 * work.read_threads):
            waiting.append((entry, pool.submit(_read, work.root, entry)))
        while waiting:
            entry, future = waiting.popleft()
            for following in islice(source, 1):
                waiting.append((following, pool.submit(_read, work.root, following)))
            try:
                yield entry, future.result()
            except OSError as error:
                yield entry, error


def _read(root: str, entry: dict[str, Any]) -> bytes:
    return storage.read_bytes(storage.join(root, entry["path"]))


def _staged(
    entry: dict[str, Any], data: Union[bytes, OSError], pixels: images.PixelSpec
) -> dict[str, Any]:
    row = {
        **{name: entry[name] for name in ("path", "label", "split")},
        "status": OK,
        "detail": "",
        "image": b"",
        "source_height_px": 0,
        "source_width_px": 0,
        "source_bytes": entry["size_bytes"],
        "source_modified": entry["modified"],
        "source_sha256": bytes(32),
    }
    if isinstance(data, OSError):
        return {**row, "status": "unreadable", "detail": data.strerror or str(data)}
    row.update(source_bytes=len(data), source_sha256=hashlib.sha256(data).digest())
    try:
        decoded = images.decode(data, pixels)
    except images.Rejected as rejected:
        return {**row, "status": rejected.reason, "detail": rejected.detail}
    row.update(
        image=decoded.pixels.tobytes(),
        source_height_px=decoded.source_height_px,
        source_width_px=decoded.source_width_px,
    )
    return row


def metadata(work: Work, num_blocks: int) -> list[pa.Table]:
    """Read everything but the pixels of all parts, in the order of the blocks."""
    names = [name for name in PART.names if name != "image"]
    with ThreadPoolExecutor(work.read_threads) as pool:
        urls = [part_url(work, block) for block in range(num_blocks)]
        return list(pool.map(lambda url: storage.read_table(url, columns=names), urls))
