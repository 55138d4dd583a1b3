"""The part of a shared library that a process loads; the rest is for debuggers."""

from __future__ import annotations

import mmap
import struct
from typing import BinaryIO, Optional

_ELF = b"\x7fELF\x02\x01"  # 64 bits, little endian: x86-64 and ARM
_HEADER = struct.Struct("<32xQ14xHH6x")  # offset of the segment table, size and number of entries
_SEGMENT = struct.Struct("<8xQ16xQ16x")  # offset and size of the segment in the file


def loaded_part(file: BinaryIO) -> Optional[mmap.mmap]:
    """Return a readable copy of the part that the linker maps; None if the file is no library.

    The part ends with the last segment. It is followed by symbols and line numbers for debuggers,
    and by the section table; the copy's header declares that table as empty. `strip` does the same,
    but is not installed on every machine, and breaks libraries that were changed by patchelf, as
    many in wheels are.
    """
    file.seek(0)
    header = file.read(64)
    if len(header) < 64 or not header.startswith(_ELF):
        return None
    segments_at, segment_bytes, num_segments = _HEADER.unpack(header)
    file.seek(segments_at)
    table = file.read(segment_bytes * num_segments)
    end = segments_at + len(table)
    for number in range(num_segments):
        begin, size_bytes = _SEGMENT.unpack_from(table, number * segment_bytes)
        end = max(end, begin + size_bytes)
    part = mmap.mmap(file.fileno(), end, access=mmap.ACCESS_COPY)
    part[40:48] = bytes(8)  # offset of the section table
    part[60:64] = bytes(4)  # number of sections, and index of the section with their names
    return part
