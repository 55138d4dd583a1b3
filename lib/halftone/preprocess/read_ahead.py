"""Read images in chunks, which threads read ahead: many files, or neighbours in an archive.

Runs in Spark's Python workers.
"""

from __future__ import annotations

import hashlib
from collections import deque
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from typing import NamedTuple, Union

from halftone import archives, storage
from halftone.archives import MemberPlace
from halftone.image_boxes import split_box

# Limits of a chunk, the images that one thread reads in one go. Handing a chunk over to another
# thread must cost little compared with reading it: a round trip to a store or a few milliseconds
# of disk. The members of an archive take one round trip, however many they are.
_CHUNK_FILES, _CHUNK_MEMBERS, _CHUNK_BYTES = 64, 1024, 4 * 2**20
# A larger file is not read: a worker holds several files in memory. The largest image of the
# default pixels.max_pixels, with 8 bytes per pixel and not compressed, fits.
MAX_FILE_BYTES = 2**30
_DIGESTED_BYTES = 2**26

ReadResult = Union[bytes, OSError]


class _Image(NamedTuple):
    """What is known of an image before it is read."""

    key: str
    size_bytes: int  # negative if it is not listed
    archive_url: str  # of a member whose place is known, or ""
    place: str  # in the archive

    @property
    def is_member(self) -> bool:
        return bool(self.archive_url)


def read_ahead(
    keys: Sequence[str], sizes: Sequence[int], places: Sequence[str], root: str, threads: int
) -> Iterator[ReadResult]:
    """Yield the contents of images in order, while threads read the next ones.

    Args:
        places: of members of archives, see MemberPlace; "" of others.
        root: the folder of images.
    """
    images = [_describe(root, *values) for values in zip(keys, sizes, places)]
    with ThreadPoolExecutor(threads) as pool:
        pending: deque[Future[list[ReadResult]]] = deque()
        for first, last in chunk_bounds(images):
            pending.append(pool.submit(_read_chunk, images[first:last]))
            if len(pending) > threads:
                yield from pending.popleft().result()
        while pending:
            yield from pending.popleft().result()


def _describe(root: str, key: str, size_bytes: int, place: str) -> _Image:
    if not place:
        return _Image(key, size_bytes, "", "")
    parsed = MemberPlace.parse(place)
    path = key[len(storage.join(root, "")) :]
    return _Image(key, size_bytes, storage.join(root, parsed.archive_of(path)), parsed.place)


def _read_chunk(images: Sequence[_Image]) -> list[ReadResult]:
    """Read images, except those that are listed as larger than MAX_FILE_BYTES."""
    sizes = [image.size_bytes for image in images]
    if max(sizes) > MAX_FILE_BYTES:  # it is a chunk of its own
        return [storage.too_large(size, MAX_FILE_BYTES) for size in sizes]
    if images[0].is_member:
        return archives.read_members(images[0].archive_url, [image.place for image in images])
    keys = [image.key for image in images]
    # Of a store, only a file whose size is not listed is checked: it costs the store's checksum.
    is_checked = min(sizes) < 0 or storage.is_local(keys[0])
    return archives.read_images(keys, MAX_FILE_BYTES if is_checked else None)


def chunk_bounds(images: Sequence[_Image]) -> Iterator[tuple[int, int]]:
    """Yield (first, last + 1) of chunks of files, or of members of one archive.

    A chunk has at most _CHUNK_BYTES; a larger image is a chunk of its own.
    """
    first, chunk_bytes = 0, 0
    for number, image in enumerate(images):
        limit = _CHUNK_MEMBERS if image.is_member else _CHUNK_FILES
        size = image.size_bytes
        size = size if size >= 0 else _CHUNK_BYTES // _CHUNK_FILES  # the size is not listed
        is_full = number - first == limit or chunk_bytes + size > _CHUNK_BYTES
        if number > first and (is_full or image.archive_url != images[first].archive_url):
            yield first, number
            first, chunk_bytes = number, 0
        chunk_bytes += size
    if len(images) > first:
        yield first, len(images)


def digest_whole_files(sizes: Mapping[str, int]) -> dict[str, str]:
    """Digest all bytes of files and of members, with the box of a key that has one; return by key.

    An image that cannot be read any more gets a text that is equal to no digest and no other's.

    Args:
        sizes: the size of each image in bytes, by its key.
    """
    digests: dict[str, str] = {}
    keys = sorted(sizes)  # members of one archive follow each other
    chunk: list[str] = []
    for number, key in enumerate(keys):
        chunk.append(key)
        is_full = sum(max(0, sizes[each]) for each in chunk) >= _DIGESTED_BYTES
        if is_full or len(chunk) == _CHUNK_MEMBERS or number + 1 == len(keys):
            digests.update(_digest_chunk(chunk))
            chunk = []
    return digests


def _digest_chunk(keys: Sequence[str]) -> Iterator[tuple[str, str]]:
    places = [split_box(key) for key in keys]
    contents = archives.read_images([url for url, _ in places])
    for key, data, (_, box) in zip(keys, contents, places):
        if isinstance(data, OSError):
            yield key, f"{key}: {data}"
        else:
            yield key, hashlib.sha256(data).hexdigest() + (box.fragment() if box else "")
