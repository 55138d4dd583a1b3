"""The lines of a UTF-8 text file, in parts that tasks read at the same time."""

from __future__ import annotations

import codecs
from collections.abc import Iterator
from typing import NamedTuple

from halftone import storage
from halftone.errors import InputError

_PART_BYTES = 64 * 2**20
# A longer line would be held in memory as a whole; a file without line breaks is one line.
MAX_LINE_BYTES = 16 * 2**20
_PIECE_BYTES = 2**20
# The first bytes of files that are no UTF-8 text, and what to do about it.
_OTHER_FILES = {
    codecs.BOM_UTF16_LE: "is UTF-16 text; save it in UTF-8",
    codecs.BOM_UTF16_BE: "is UTF-16 text; save it in UTF-8",
    b"\x1f\x8b": "is packed with gzip; unpack it",
    b"PAR1": "is a Parquet file; its name must end in .parquet",
}


class TextPart(NamedTuple):
    """The lines that begin in a range of a file's bytes."""

    start: int
    end: int


class TextLine(NamedTuple):
    start: int  # the position of its first byte in the file
    text: str  # without the line break


def plan_text_parts(size_bytes: int) -> list[TextPart]:
    """Return parts of about 64 MiB, which together are the whole file; at least one."""
    starts = range(0, max(1, size_bytes), _PART_BYTES)
    return [TextPart(start, min(start + _PART_BYTES, size_bytes)) for start in starts]


def read_lines(url: str, part: TextPart) -> Iterator[TextLine]:
    """Yield the lines of a part that are not blank.

    Raises:
        FileNotFoundError: there is no such file.
        InputError: a line is not UTF-8 text, or longer than MAX_LINE_BYTES.
    """
    with storage.open_file(url) as file:
        position = 0
        if part.start:
            # The line that contains the byte before belongs to the part before.
            file.seek(part.start - 1)
            position = part.start - 1 + len(file.readline())
        else:
            _check_start(url, file.peek(4)[:4])
            while file.peek(3).startswith(codecs.BOM_UTF8):  # some programs write two
                position += len(file.read(3))
        while position < part.end and (line := file.readline(MAX_LINE_BYTES + 1)):
            if len(line) > MAX_LINE_BYTES:
                raise line_error(
                    url, position, f"has more than {MAX_LINE_BYTES:,} bytes; write one image a line"
                )
            if line.strip():
                yield TextLine(position, _decode(url, position, line))
            position += len(line)


def _check_start(url: str, start: bytes) -> None:
    for mark, text in _OTHER_FILES.items():
        if start.startswith(mark):
            raise InputError(f"{url}: {text}")


def _decode(url: str, position: int, line: bytes) -> str:
    try:
        return line.decode().rstrip("\r\n")
    except UnicodeDecodeError as error:
        byte = f"(byte 0x{line[error.start]:02x})"
        message = f"is not UTF-8 text {byte}; save the file in UTF-8"
        raise line_error(url, position, message) from None


def line_error(url: str, position: int, message: str) -> InputError:
    """Return the error of the line that begins at a position; the lines before it are counted."""
    num_lines = 0
    with storage.open_file(url) as file:
        while position and (piece := file.read(min(position, _PIECE_BYTES))):
            num_lines += piece.count(b"\n")
            position -= len(piece)
    return InputError(f"{url}: line {num_lines + 1} {message}")
