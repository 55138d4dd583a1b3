"""What a process loads of a library: most of what some of them hold is for a debugger."""

from __future__ import annotations

import mmap
import struct
from typing import BinaryIO, Optional

_ELF = b"\x7fELF\x02\x01"  # of 64 bits, the low byte first: x86-64 and ARM
_HEADER = struct.Struct("<32xQ14xHH6x")  # where the segments are told of, and how many there are
_SEGMENT = struct.Struct("<8xQ16xQ16x")  # where it begins in the file, and its size there


def loaded_part(file: BinaryIO) -> Optional[mmap.mmap]:
    """What the linker maps of a library, as a copy that can be read; None where it is none.

    That is the file up to the end of its last segment. Symbols and lines for a debugger come
    behind, and the table of sections, which is said to be empty. `strip` does the same, but not
    every machine has it, and it breaks libraries that patchelf has changed, as many in wheels are.
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
    part[40:48] = bytes(8)  # where the sections are told of
    part[60:64] = bytes(4)  # how many there are, and which of them holds their names
    return part
