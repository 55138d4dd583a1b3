"""TFRecord files of tf.train.Example, one image each, read without TensorFlow.

A record is its length (uint64) with a masked CRC-32C, and the data with theirs. The listing
checks the first checksum and reads the features; who reads a record checks the second one.
"""

from __future__ import annotations

import struct
from collections.abc import Iterator, Sequence
from typing import NamedTuple, Optional

import numpy as np

from halftone import storage
from halftone.archives.crc32c import mask_crc
from halftone.archives.member import ArchiveError, ArchiveFile, Member, MemberData
from halftone.archives.raw_pixels import image_file_bytes, to_image_file
from halftone.archives.record_schema import RecordSchema, find_label, find_schema, read_shape
from halftone.archives.tf_example import ExampleError, Feature, read_features
from halftone.archives.windows import open_windowed
from halftone.storage import Piece
from halftone.storage.ranges import CHANGED

HAS_FILES = False
_LENGTH, _CRC = struct.Struct("<Q"), struct.Struct("<I")
_HEAD_BYTES = _LENGTH.size + _CRC.size
_GZIP, _ZLIB = b"\x1f\x8b", (b"\x78\x01", b"\x78\x5e", b"\x78\x9c", b"\x78\xda")


class _Place(NamedTuple):
    record: int  # where its data begin in the file
    record_bytes: int  # of the data
    start: int  # of the image in the data
    num_bytes: int  # of the image
    height_px: int = 0  # of pixels; 0 of an image file
    width_px: int = 0
    num_channels: int = 0

    @property
    def size_bytes(self) -> int:
        """Return the size of the image file."""
        if self.height_px:
            return image_file_bytes(*self[4:])
        return self.num_bytes


def list_members(archive: ArchiveFile) -> Iterator[Member]:
    file = open_windowed(archive)
    schema: Optional[RecordSchema] = None
    for number, (record, record_bytes) in enumerate(_iter_records(archive, file)):

        def read(offset: int, num_bytes: int, record: int = record) -> bytes:
            file.seek(record + offset)
            return file.read(num_bytes)

        try:
            features = read_features(read, record_bytes)
        except ExampleError as error:
            if schema is None:
                raise ArchiveError(
                    f"{archive.url}: the first record is no tf.train.Example: {error}; convert the "
                    "file, or set preprocess.archives: ignore"
                ) from None
            problem = f"the record is no tf.train.Example: {error}"
            yield Member(f"{number:08d}", 0, str(record), problem=problem)
            continue
        if schema is None:
            schema = find_schema(archive.url, features)
        label = find_label(archive.url, number, schema, features)
        yield _make_member(number, record, record_bytes, schema, features)._replace(label=label)


def _iter_records(archive: ArchiveFile, file: storage.WindowedFile) -> Iterator[tuple[int, int]]:
    """Yield where the data of each record begin, and how many bytes they have."""
    position = number = 0
    while position < archive.size_bytes:
        file.seek(position)
        head = file.read(_HEAD_BYTES)
        if len(head) == _HEAD_BYTES and _CRC.unpack_from(head, 8)[0] != mask_crc(head[:8]):
            raise _damage_error(archive, position, number, head)
        length = _LENGTH.unpack_from(head)[0] if len(head) == _HEAD_BYTES else 0
        end = position + _HEAD_BYTES + length + _CRC.size
        if end > archive.size_bytes:
            raise ArchiveError(
                f"{archive.url}: the TFRecord file is incomplete: record {number:,} at byte "
                f"{position:,} ends at byte {end:,}, the file at {archive.size_bytes:,}; copy it "
                "again, or write it anew"
            )
        yield position + _HEAD_BYTES, length
        position, number = end, number + 1


def _damage_error(archive: ArchiveFile, position: int, number: int, head: bytes) -> ArchiveError:
    if not position and (head.startswith(_GZIP) or head[:2] in _ZLIB):
        return ArchiveError(
            f"{archive.url}: a compressed TFRecord file can only be read from its beginning on, "
            "and not by several tasks; write it without compression, or unpack it to another file "
            "(gzip -dc)"
        )
    if not position:
        return ArchiveError(
            f"{archive.url}: is no TFRecord file: the checksum of the first length is wrong; "
            "rename it if it is something else, or copy it again"
        )
    return ArchiveError(
        f"{archive.url}: the TFRecord file is damaged: the checksum of the length at byte "
        f"{position:,} of {archive.size_bytes:,} is wrong, after {number:,} records; copy it "
        "again, or write it anew"
    )


def _make_member(
    number: int,
    record: int,
    record_bytes: int,
    schema: RecordSchema,
    features: dict[str, Feature],
) -> Member:
    """Return the image of a record, without its label."""
    name, problem = f"{number:08d}", ""
    feature = features.get(schema.image)
    try:
        values = feature.byte_values() if feature else []
    except ExampleError as error:
        values, problem = [], f"the feature {schema.image}: {error}"
    if len(values) != 1:
        problem = problem or f"the feature {schema.image} has {len(values)} images, 1 is read"
        return Member(name, 0, str(record), problem=problem)
    start, end = values[0]
    place = _Place(record, record_bytes, start, end - start)
    if schema.has_pixels:
        shape = read_shape(features)
        if shape is None or int(np.prod(shape)) != end - start:
            size = " x ".join(map(str, shape)) if shape else "an unknown shape"
            problem = f"{end - start:,} bytes of pixels do not fit to {size}"
            return Member(name, 0, str(record), problem=problem)
        place = place._replace(height_px=shape[0], width_px=shape[1], num_channels=shape[2])
    return Member(name, place.size_bytes, " ".join(map(str, place)))


def read_members(url: str, places: Sequence[str]) -> list[MemberData]:
    parsed = [_Place(*map(int, place.split())) for place in places]
    # With the length and its checksum before the data, and the checksum of the data behind them.
    pieces = [
        Piece(place.record - _HEAD_BYTES, _HEAD_BYTES + place.record_bytes + _CRC.size)
        for place in parsed
    ]
    return [
        data if isinstance(data, OSError) else _to_file(data, place)
        for data, place in zip(storage.read_pieces(url, pieces), parsed)
    ]


def _to_file(record: bytes, place: _Place) -> MemberData:
    data = record[_HEAD_BYTES : -_CRC.size]
    if _LENGTH.unpack_from(record)[0] != len(data):
        return OSError(CHANGED)
    if _CRC.unpack_from(record, len(record) - _CRC.size)[0] != mask_crc(data):
        return OSError("damaged in the TFRecord file: the checksum of the record is wrong")
    image = data[place.start : place.start + place.num_bytes]
    if not place.height_px:
        return image
    shape = (place.height_px, place.width_px, place.num_channels)
    return to_image_file(np.frombuffer(image, np.uint8).reshape(shape))
