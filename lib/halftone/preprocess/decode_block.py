"""Read and decode one block of images into a staged part. Runs in Spark's Python workers.

A part is a Parquet file in the dataset's staging folder. Its path identifies the run and the block,
so a rerun after a kill reuses the parts that exist.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from typing import Any, NamedTuple, Optional

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from halftone import arrow, images, storage
from halftone.config import PixelSpec
from halftone.dataset import schema
from halftone.dataset.splits import SPLITS
from halftone.image_boxes import ImageBox, split_box
from halftone.listing import MEMBER_PLACE, UNREADABLE
from halftone.preprocess.read_ahead import ReadResult, read_ahead

PART_NAME = "part-"  # prefix of the names of parts
OK = "ok"
STATUS = "status"  # the column of a part that no dataset has

# A decoded image, or the reason of its rejection.
PART = pa.schema(
    [
        pa.field(schema.KEY, pa.string()),  # the path or URL of the image file
        pa.field(schema.LABEL, pa.string()),
        pa.field(schema.SPLIT, pa.int8()),  # index in splits.SPLITS
        pa.field(STATUS, pa.string()),  # OK or the reason of the rejection
        pa.field(schema.DETAIL, pa.string()),
        pa.field(schema.IMAGE, pa.binary()),  # empty unless OK
        pa.field(schema.SOURCE_HEIGHT_PX, pa.int32()),
        pa.field(schema.SOURCE_WIDTH_PX, pa.int32()),
        pa.field(schema.SOURCE_BYTES, pa.int64()),
        pa.field(schema.SOURCE_MODIFIED, pa.float64()),
        pa.field(schema.SOURCE_DIGEST, pa.binary()),  # see file_digest; zeros if not read
        pa.field(schema.PERCEPTUAL_HASH, pa.int64()),  # the 64 bits as a signed number
    ]
)

_DIGEST_END_BYTES = 8192
_HASHED_BYTES = 2**20  # pixels that are hashed at once; they fit into the CPU's cache


class DecodeJob(NamedTuple):
    """The settings that all blocks of a run share."""

    root: str  # folder of images
    parts: str  # URL of the folder for the staged parts
    pixels: PixelSpec
    read_threads: int


class StagedPart(NamedTuple):
    """A file of PART."""

    url: str
    num_rows: int
    num_decoded: dict[str, int]  # by split

    @property
    def num_rejected(self) -> int:
        return self.num_rows - sum(self.num_decoded.values())


def part_url(job: DecodeJob, block: int) -> str:
    return storage.join(job.parts, f"{PART_NAME}{block:06d}.parquet")


def stage_block(job: DecodeJob, block: int, entries: pa.Table) -> list[int]:
    """Decode the images of a block into its part; return the number of decoded ones by split.

    Every image of the block has a row in the part, decoded or rejected. A part that exists is
    not written again.

    Args:
        entries: catalogue.ENTRIES.
    """
    url = part_url(job, block)
    if storage.exists(url):
        part = storage.read_table(url, [schema.SPLIT, STATUS])
    else:
        part = decode_images(job.root, entries, job.pixels, job.read_threads)
        storage.write_table(url, part)
    return count_decoded(part)


def count_decoded(part: pa.Table) -> list[int]:
    """Return the number of decoded images of a part by split."""
    split_ids = arrow.to_numpy(part[schema.SPLIT])[is_decoded(part)]
    return [int((split_ids == split_id).sum()) for split_id in range(len(SPLITS))]


def decode_images(root: str, entries: pa.Table, pixels: PixelSpec, read_threads: int) -> pa.Table:
    """Read and decode images; return a PART with one row per entry, in the same order.

    Args:
        root: the folder of images.
        entries: catalogue.ENTRIES.
    """
    keys = [storage.join(root, path) for path in entries[schema.PATH].to_pylist()]
    sizes = entries[schema.SIZE_BYTES].to_pylist()
    images_of_keys = [split_box(key) for key in keys]
    urls = [url for url, _ in images_of_keys]
    files = read_ahead(urls, sizes, entries[MEMBER_PLACE].to_pylist(), root, read_threads)
    staged = [
        _decode_image(data, size, pixels, box)
        for data, size, (_, box) in zip(files, sizes, images_of_keys)
    ]
    # Hashed before they are encoded, so that near duplicates do not depend on the encoding.
    hashes = _hash_pixels(staged, pixels)
    return _build_part(keys, entries, _encode_images(staged, pixels), hashes)


def is_decoded(part: pa.Table) -> npt.NDArray[np.bool_]:
    """Return for each row of a PART whether its image was decoded."""
    return arrow.is_in(part[STATUS], arrow.string_array([OK]))


def select_decoded(part: pa.Table) -> pa.Table:
    """Return the rows of a PART whose images were decoded."""
    return arrow.filter_rows(part, is_decoded(part))


def select_rejects(part: pa.Table) -> pa.Table:
    """Return the rows of a PART whose images were rejected, as schema.REJECTS."""
    names = (
        schema.KEY,
        STATUS,
        schema.DETAIL,
        schema.SOURCE_BYTES,
        schema.SOURCE_MODIFIED,
    )
    rejected = arrow.filter_rows(part, ~is_decoded(part))
    return pa.table([rejected[name] for name in names], schema=schema.REJECTS)


def file_digest(data: bytes) -> bytes:
    """Digest the length of a file and its first and last 8 KiB, which is all of a small file.

    Two large files with the same digest may still differ in the middle; `digest_whole_files` tells
    them apart. Digesting all bytes of photographs would add a tenth to the time of decoding them.
    """
    end = _DIGEST_END_BYTES
    sample = data if len(data) <= 2 * end else data[:end] + data[-end:]
    return hashlib.blake2b(sample + len(data).to_bytes(8, "big"), digest_size=16).digest()


def _digest_part(digest: bytes, box: Optional[ImageBox]) -> bytes:
    """Return the digest of a box of a file: another box of the same bytes is no duplicate."""
    if box is None:
        return digest
    return hashlib.blake2b(digest + box.fragment().encode(), digest_size=16).digest()


class _StagedImage(NamedTuple):
    """The columns of a PART that are not in the listing."""

    status: str
    detail: str
    image: bytes
    source_height_px: int
    source_width_px: int
    source_bytes: int
    source_digest: bytes


def _decode_image(
    data: ReadResult, listed_bytes: int, pixels: PixelSpec, box: Optional[ImageBox] = None
) -> _StagedImage:
    if isinstance(data, OSError):
        detail = data.strerror or str(data) or type(data).__name__
        return _StagedImage(UNREADABLE, detail, b"", 0, 0, listed_bytes, bytes(16))
    file_facts = (len(data), _digest_part(file_digest(data), box))
    try:
        decoded = images.decode(data, pixels, box)
    except images.ImageRejectedError as rejected:
        return _StagedImage(rejected.reason, rejected.detail, b"", 0, 0, *file_facts)
    height_px, width_px = decoded.source_height_px, decoded.source_width_px
    return _StagedImage(OK, "", decoded.pixels.tobytes(), height_px, width_px, *file_facts)


def _hash_pixels(staged: Sequence[_StagedImage], pixels: PixelSpec) -> npt.NDArray[np.int64]:
    """Return the perceptual hash of each image, as a signed number; 0 if it was not decoded."""
    hashes = np.zeros(len(staged), np.int64)  # Spark has no unsigned integers
    decoded = [number for number, image in enumerate(staged) if image.status == OK]
    num_at_once = max(1, _HASHED_BYTES // pixels.image_bytes)
    for start in range(0, len(decoded), num_at_once):
        numbers = decoded[start : start + num_at_once]
        data = b"".join(staged[number].image for number in numbers)
        array = np.frombuffer(data, np.uint8).reshape(len(numbers), *pixels.shape)
        hashes[numbers] = images.perceptual_hashes(array).view(np.int64)
    return hashes


def _encode_images(staged: Sequence[_StagedImage], pixels: PixelSpec) -> list[_StagedImage]:
    """Return the images with their raw pixels encoded as a dataset stores them."""
    if pixels.encoding == "raw":
        return list(staged)
    encoded = []
    for image in staged:
        if image.status == OK:
            array = np.frombuffer(image.image, np.uint8).reshape(pixels.shape)
            image = image._replace(image=images.encode_pixels(array, pixels))
        encoded.append(image)
    return encoded


def _build_part(
    keys: Sequence[str],
    entries: pa.Table,
    staged: Sequence[_StagedImage],
    hashes: npt.NDArray[np.int64],
) -> pa.Table:
    """Combine the columns of the listing with those of the decoded images."""
    values: dict[str, Sequence[Any]] = {
        schema.KEY: keys,
        **dict(zip(_StagedImage._fields, zip(*staged))),
    }
    columns = {
        schema.LABEL: entries[schema.LABEL],
        schema.SPLIT: entries[schema.SPLIT],
        schema.SOURCE_MODIFIED: entries[schema.MODIFIED],
        schema.PERCEPTUAL_HASH: arrow.number_array(hashes, pa.int64()),
        **{name: arrow.make_array(values[name], PART.field(name).type) for name in values},
    }
    return pa.table([columns[name] for name in PART.names], schema=PART)


def has_partial_digest(source_bytes: int) -> bool:
    """Return whether `file_digest` skips bytes of a file of this size."""
    return source_bytes > 2 * _DIGEST_END_BYTES
