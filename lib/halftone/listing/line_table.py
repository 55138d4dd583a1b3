"""A text file that has an image in each line, in parts; the format of a line is a LineFormat."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import chain, islice
from typing import NamedTuple, Optional, Protocol

import pyarrow as pa

from halftone import arrow, storage
from halftone.arrow.columns import SLICE_ROWS
from halftone.listing.listed_rows import fill_columns
from halftone.listing.remarks import UnitRemarks
from halftone.listing.table_paths import NO_BASE, PathBase, make_relative
from halftone.listing.text_lines import (
    TextLine,
    TextPart,
    line_error,
    plan_text_parts,
    read_lines,
)

# So many lines are read to find the columns, of at most so many bytes.
SAMPLE_LINES, _SAMPLE_BYTES = 1000, 2**20


class LineError(Exception):
    """A line is not as its format says; the message goes on behind `line 7`."""


class LineFormat(Protocol):
    """How a line is read. It can be pickled."""

    @property
    def columns(self) -> tuple[str, ...]:
        """The names of the columns, see TABLE_COLUMNS."""

    def parse(self, text: str) -> Sequence[Sequence[str]]:
        """Return the rows of a line, mostly one, as the texts of their cells. Raises LineError."""


class LineTable(NamedTuple):
    url: str
    root: str  # the folder of images
    size_bytes: int
    format: LineFormat
    base: PathBase = NO_BASE

    def plan_units(self) -> list[TextPart]:
        return plan_text_parts(self.size_bytes)

    def list_unit(self, remarks: UnitRemarks, unit: Sequence[int]) -> Iterator[pa.Table]:
        """Yield LISTED of one of `plan_units`.

        Raises:
            InputError: a line is not as its format says; the message has its number.
        """
        for table in self.read_texts(unit):
            rows = fill_columns(self.url, self.base.apply(table))
            yield make_relative(self.url, self.root, 0, rows, remarks)

    def read_texts(self, unit: Sequence[int]) -> Iterator[pa.Table]:
        """Yield tables of the columns of the format as text, of up to SLICE_ROWS rows.

        Raises:
            InputError: as `list_unit`.
        """
        lines = read_lines(self.url, TextPart(*unit))
        rows = chain.from_iterable(map(self._parse, lines))
        while some := list(islice(rows, SLICE_ROWS)):
            columns = [arrow.string_array(texts) for texts in zip(*some)]
            yield pa.table(columns, names=list(self.format.columns))

    def _parse(self, line: TextLine) -> Sequence[Sequence[str]]:
        try:
            rows = self.format.parse(line.text)
            for cells in rows:
                for name, cell in zip(self.format.columns, cells):
                    if not cell.isascii():
                        _check_encoding(name, cell)
        except LineError as error:
            raise line_error(self.url, line.start, str(error)) from None
        return rows


def _check_encoding(name: str, text: str) -> None:
    try:
        text.encode()
    except UnicodeEncodeError:
        raise LineError(f"has {name} {text!r}, which is no text: it has half a character") from None


def read_sample(url: str) -> list[TextLine]:
    """Return the first lines of a file: up to SAMPLE_LINES, of about 1 MiB together.

    Raises:
        FileNotFoundError: there is no such file.
        InputError: as `read_lines`.
    """
    return list(islice(read_lines(url, TextPart(0, _SAMPLE_BYTES)), SAMPLE_LINES))


def table_size(url: str) -> int:
    """Return the size of a file. Raises FileNotFoundError if there is no such file."""
    size: Optional[int] = storage.file_size(url)
    if size is None:
        raise FileNotFoundError(url)
    return size
