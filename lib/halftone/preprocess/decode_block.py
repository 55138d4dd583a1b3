"""One block of images, read and decoded into a staged part. Runs in Spark's Python workers.

A part is a Parquet file in the dataset's staging folder. Its name says which images it holds and
how they were treated, so a rerun after a kill takes the parts that are there.
"""

from __future__ import annotations

import hashlib
from collections import deque
from collections.abc import Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from typing import Any, NamedTuple, Union

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from halftone import arrow, images, storage
from halftone.config import PixelSpec
from halftone.dataset import schema

PART_NAME = "part-"  # how the names of parts begin
OK = "ok"
UNREADABLE = "unreadable"

# A staged image: what a row of the dataset needs, or why there will be none.
PART = pa.schema(
    [
        pa.field("key", pa.string()),  # the source path
        pa.field("label", pa.string()),
        pa.field("split", pa.int8()),
        pa.field("status", pa.string()),  # OK or a reason
        pa.field("detail", pa.string()),
        pa.field("image", pa.binary()),  # empty unless OK
        pa.field("source_height_px", pa.int32()),
        pa.field("source_width_px", pa.int32()),
        pa.field("source_bytes", pa.int64()),
        pa.field("source_modified", pa.float64()),
        pa.field("source_digest", pa.binary(16)),  # see `digest`; zeros where it was not read
        pa.field("perceptual_hash", pa.int64()),  # the 64 bits as a signed number
    ]
)

# Files are read so many at a time by one thread: a round trip to a store, or a few milliseconds of
# disk, is then worth a hand-over between threads.
_CHUNK_FILES, _CHUNK_BYTES = 64, 4 * 2**20
_DIGEST_END_BYTES = 8192

ReadResult = Union[bytes, OSError]


class DecodeJob(NamedTuple):
    """What every block has in common."""

    root: str  # folder of images
    plan_url: str  # Parquet file of catalogue.ENTRIES, one row group a block
    parts: str  # folder for the staged parts
    pixels: PixelSpec
    read_threads: int


def part_url(job: DecodeJob, block: int) -> str:
    return storage.join(job.parts, f"{PART_NAME}{block:06d}.parquet")


def stage_block(job: DecodeJob, block: int) -> int:
    """Decode the images of a block into its part; return how many there are.

    Every image of the block has a row in the part, whatever became of it.
    """
    entries = storage.read_row_group(job.plan_url, block)
    url = part_url(job, block)
    if not storage.exists(url):
        storage.write_table(url, decode_images(job.root, entries, job.pixels, job.read_threads))
    return int(entries.num_rows)


def decode_images(root: str, entries: pa.Table, pixels: PixelSpec, read_threads: int) -> pa.Table:
    """Read and decode images; return a PART with a row for each of the catalogue's entries."""
    keys = [storage.join(root, path) for path in entries["path"].to_pylist()]
    sizes = entries["size_bytes"].to_pylist()
    files = _read_ahead(keys, sizes, read_threads)
    staged = [_decode_image(data, size, pixels) for data, size in zip(files, sizes)]
    return _build_part(keys, entries, staged)


def is_decoded(part: pa.Table) -> npt.NDArray[np.bool_]:
    """Say of each row of a PART whether it decoded well."""
    return arrow.is_in(part["status"], arrow.string_array([OK]))


def select_decoded(part: pa.Table) -> pa.Table:
    """Return the rows of a PART that decoded well."""
    return arrow.filter_rows(part, is_decoded(part))


def select_rejects(part: pa.Table) -> pa.Table:
    """Return the rows of a PART that did not, as schema.REJECTS."""
    names = ("key", "status", "detail", "source_bytes", "source_modified")
    own = arrow.filter_rows(part, ~is_decoded(part))
    return pa.table([own[name] for name in names], schema=schema.REJECTS)


def file_digest(data: bytes) -> bytes:
    """Digest a file's length and its first and last 8 KiB, which is all of a small file.

    Two files of one digest may still differ in between, so a caller who needs to know compares
    them whole. To digest all bytes of all photographs would take a tenth of their decoding's time.
    """
    half = _DIGEST_END_BYTES
    sample = data if len(data) <= 2 * half else data[:half] + data[-half:]
    return hashlib.blake2b(sample + len(data).to_bytes(8, "big"), digest_size=16).digest()


class _StagedImage(NamedTuple):
    status: str
    detail: str
    image: bytes
    source_height_px: int
    source_width_px: int
    source_bytes: int
    source_digest: bytes
    perceptual_hash: int = 0


def _decode_image(data: ReadResult, listed_bytes: int, pixels: PixelSpec) -> _StagedImage:
    if isinstance(data, OSError):
        detail = data.strerror or str(data) or type(data).__name__
        return _StagedImage(UNREADABLE, detail, b"", 0, 0, listed_bytes, bytes(16))
    seen = (len(data), file_digest(data))
    try:
        decoded = images.decode(data, pixels)
    except images.ImageRejectedError as rejected:
        return _StagedImage(rejected.reason, rejected.detail, b"", 0, 0, *seen)
    height_px, width_px = decoded.source_height_px, decoded.source_width_px
    bits = images.perceptual_hash(decoded.pixels)
    signed = bits - 2**64 if bits >= 2**63 else bits  # Spark knows no unsigned numbers
    return _StagedImage(OK, "", decoded.pixels.tobytes(), height_px, width_px, *seen, signed)


def _build_part(keys: Sequence[str], entries: pa.Table, staged: Sequence[_StagedImage]) -> pa.Table:
    """Put what was listed and what was found side by side."""
    found: dict[str, Sequence[Any]] = {"key": keys, **dict(zip(_StagedImage._fields, zip(*staged)))}
    listed = {"label": "label", "split": "split", "source_modified": "modified"}
    arrays = {name: entries[other] for name, other in listed.items()}
    arrays.update({name: arrow.make_array(found[name], PART.field(name).type) for name in found})
    return pa.table([arrays[name] for name in PART.names], schema=PART)


def _read_ahead(keys: Sequence[str], sizes: Sequence[int], threads: int) -> Iterator[ReadResult]:
    """Yield the files in order, while threads read the next ones."""
    with ThreadPoolExecutor(threads) as pool:
        waiting: deque[Future[list[ReadResult]]] = deque()
        for first, last in _chunk_bounds(sizes):
            waiting.append(pool.submit(storage.read_files, keys[first:last]))
            if len(waiting) > threads:
                yield from waiting.popleft().result()
        while waiting:
            yield from waiting.popleft().result()


def _chunk_bounds(sizes: Sequence[int]) -> Iterator[tuple[int, int]]:
    """Cut a list of files into runs that are not too many and not too large."""
    first, chunk_bytes = 0, 0
    for number, size in enumerate(sizes):
        size = size if size >= 0 else _CHUNK_BYTES // _CHUNK_FILES  # not listed
        full = number - first == _CHUNK_FILES or chunk_bytes + size > _CHUNK_BYTES
        if full and number > first:
            yield first, number
            first, chunk_bytes = number, 0
        chunk_bytes += size
    if len(sizes) > first:
        yield first, len(sizes)


def digest_whole_files(groups: Sequence[Sequence[str]], group_index: int) -> list[str]:
    """Digest all bytes of the files of one group; a file that is gone by now is like no other."""
    return [
        f"{key}: {data}" if isinstance(data, OSError) else hashlib.sha256(data).hexdigest()
        for key in groups[group_index]
        for data in storage.read_files([key])
    ]


def has_partial_digest(source_bytes: int) -> bool:
    """Whether `digest` leaves bytes out of a file of this size."""
    return source_bytes > 2 * _DIGEST_END_BYTES


def read_part_metadata(job: DecodeJob, num_blocks: int) -> list[tuple[str, pa.Table]]:
    """Read all parts but for the pixels; return them with their URLs, in the order of blocks."""
    names = [name for name in PART.names if name != "image"]
    urls = [part_url(job, block) for block in range(num_blocks)]
    with ThreadPoolExecutor(job.read_threads) as pool:
        return list(zip(urls, pool.map(lambda url: storage.read_table(url, columns=names), urls)))
