"""Zip archives: the directory at their end is read, and members are unpacked with their CRC."""

from __future__ import annotations

import io
import struct
import zipfile
import zlib
from collections.abc import Iterator, Sequence
from typing import NamedTuple

from halftone import storage
from halftone.archives.member import ArchiveError, ArchiveFile, Member, MemberData
from halftone.storage import Piece

HAS_FILES = True
_WINDOW_BYTES = 2**20
_LOCAL_HEADER = struct.Struct("<4s5H3L2H")
_ENCRYPTED = 1


class _Place(NamedTuple):
    offset: int  # of the local header
    num_bytes: int  # up to the next member
    packed_bytes: int
    size_bytes: int
    crc: int
    method: int


def list_members(archive: ArchiveFile) -> Iterator[Member]:
    raw = storage.WindowedFile(archive.url, archive.size_bytes, _WINDOW_BYTES)
    try:
        with zipfile.ZipFile(io.BufferedReader(raw, _WINDOW_BYTES)) as opened:
            infos, end = opened.infolist(), opened.start_dir
    except (zipfile.BadZipFile, NotImplementedError, ValueError, EOFError) as error:
        raise ArchiveError(
            f"{archive.url}: is no complete zip archive: {error}; copy it again, or write it anew"
        ) from None
    starts = sorted({info.header_offset for info in infos})
    ends = dict(zip(starts, [*starts[1:], end]))
    for info in infos:
        if not info.is_dir():
            yield _make_member(info, ends[info.header_offset])


def _make_member(info: zipfile.ZipInfo, end: int) -> Member:
    problem = ""
    if info.flag_bits & _ENCRYPTED:
        problem = "it is encrypted; write the zip archive without a password"
    elif info.compress_type not in (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED):
        problem = (
            f"compression method {info.compress_type} of zip archives is not read; write it with "
            "deflate, or not compressed"
        )
    offset = info.header_offset
    sizes = (info.compress_size, info.file_size, info.CRC)
    place = _Place(offset, max(0, end - offset), *sizes, info.compress_type)
    name = info.filename
    while name.startswith("./"):
        name = name[2:].lstrip("/")
    return Member(name, info.file_size, " ".join(map(str, place)), problem=problem)


def read_members(url: str, places: Sequence[str]) -> list[MemberData]:
    parsed = [_Place(*map(int, place.split())) for place in places]
    found = storage.read_pieces(url, [Piece(place.offset, place.num_bytes) for place in parsed])
    return [
        data if isinstance(data, OSError) else _unpack(data, place)
        for data, place in zip(found, parsed)
    ]


def _unpack(data: bytes, place: _Place) -> MemberData:
    if len(data) < _LOCAL_HEADER.size:
        return OSError("damaged in the zip archive: its header is missing")
    magic, *_, name_bytes, extra_bytes = _LOCAL_HEADER.unpack_from(data)
    start = _LOCAL_HEADER.size + name_bytes + extra_bytes
    packed = data[start : start + place.packed_bytes]
    if magic != b"PK\3\4" or len(packed) < place.packed_bytes:
        return OSError("damaged in the zip archive: its header does not fit to the directory")
    content = packed
    if place.method == zipfile.ZIP_DEFLATED:
        unpacker = zlib.decompressobj(-zlib.MAX_WBITS)
        try:
            # A small member may unpack to any size, whatever the directory says.
            content = unpacker.decompress(packed, place.size_bytes + 1)
        except zlib.error as error:
            return OSError(f"damaged in the zip archive: {error}")
    if len(content) != place.size_bytes:
        return OSError(
            f"damaged in the zip archive: it unpacks to another size than {place.size_bytes:,} "
            "bytes, which the directory has"
        )
    if zlib.crc32(content) != place.crc:
        return OSError("damaged in the zip archive: the CRC is wrong")
    return content
