"""Read a CSV file as Arrow tables, piece by piece.

By hand, with Python's csv module: Arrow's reader takes `NA` and `null` for missing values unless it
knows the columns' names beforehand, and its errors name neither the line nor the cure.
"""

from __future__ import annotations

import codecs
import csv
import io
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from itertools import islice
from typing import NamedTuple

import pyarrow as pa

from halftone import arrow, storage
from halftone.arrow.columns import SLICE_ROWS
from halftone.errors import InputError
from halftone.listing.listed_rows import EMPTY_TEXTS, fill_columns
from halftone.listing.remarks import UnitRemarks
from halftone.listing.table_columns import (
    PLAIN_TITLES,
    ColumnTitles,
    KnownColumns,
    find_columns,
)
from halftone.listing.table_paths import NO_BASE, PathBase, make_relative

_OTHER_DELIMITERS = {";": "semicolons", "\t": "tabs", "|": "vertical bars"}
_PARQUET_MARK = b"PAR1"
_UTF16_MARKS = (codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)
_PIECE_BYTES = 2**20

# The number of a record's last line in the file, and its cells.
NumberedRecord = tuple[int, list[str]]


class CsvTable(NamedTuple):
    """A CSV file: UTF-8, with or without a byte order mark. Commas separate the cells.

    If spaces follow the commas of the header, spaces after all commas are skipped.
    """

    url: str
    root: str  # the folder of images
    num_columns: int
    columns: Mapping[int, str]  # names of those to read, by the index of the column
    skip_spaces: bool
    base: PathBase = NO_BASE

    def plan_units(self) -> list[None]:
        """Return one unit: only who has read all before a line knows whether a quote is open."""
        return [None]

    def list_unit(self, remarks: UnitRemarks, unit: None) -> Iterator[pa.Table]:
        """Yield LISTED of all rows.

        Raises:
            InputError: the file is no such CSV file, or as `make_relative`.
        """
        num_rows = 0
        for table in self.read_texts():
            rows = fill_columns(self.url, self.base.apply(table))
            yield make_relative(self.url, self.root, num_rows, rows, remarks)
            num_rows += table.num_rows

    def read_texts(self, unit: None = None) -> Iterator[pa.Table]:
        """Yield tables of `columns` as text, of up to SLICE_ROWS rows.

        Raises:
            InputError: the file is no such CSV file.
        """
        with _opened(self.url) as file:
            records = _read_records(file, self.skip_spaces)
            next(records, None)  # the header
            yield from _read_slices(self.url, records, self.num_columns, self.columns)


class CsvHeader(NamedTuple):
    names: list[str]  # as they are written
    skip_spaces: bool  # whether spaces follow the commas


def open_csv(
    url: str, root: str, titles: ColumnTitles = PLAIN_TITLES, base: PathBase = NO_BASE
) -> tuple[CsvTable, KnownColumns]:
    """Open a CSV file, and find the columns of TABLE_COLUMNS.

    Raises:
        FileNotFoundError: there is no such file.
        InputError: the file is no such CSV file, or as `find_columns`.
    """
    header = read_header(url)
    known = find_columns(url, header.names, titles)
    table = CsvTable(url, root, len(header.names), known.by_index, header.skip_spaces, base)
    return table, known


def read_header(url: str) -> CsvHeader:
    """Read the header of a CSV file.

    Raises:
        FileNotFoundError: there is no such file.
        InputError: the file is no such CSV file.
    """
    with _opened(url) as file:
        start = file.peek(len(_PARQUET_MARK))
        if start.startswith(_UTF16_MARKS):
            raise InputError(f"{url}: is UTF-16 text; save it as CSV in UTF-8")
        if start.startswith(_PARQUET_MARK):
            raise InputError(f"{url}: is a Parquet file; its name must end in .parquet")
        _, header = next(_read_records(file, skip_spaces=False), (0, [""]))
    skip_spaces = any(name.startswith(" ") for name in header[1:])
    if skip_spaces:
        with _opened(url) as file:
            _, header = next(_read_records(file, skip_spaces), (0, [""]))
    _check_delimiter(url, header)
    return CsvHeader(header, skip_spaces)


@contextmanager
def _opened(url: str) -> Iterator[io.BufferedReader]:
    """Open a file, and translate the errors of reading it as CSV."""
    try:
        with storage.open_file(url) as file:
            yield file
    except UnicodeDecodeError:
        raise InputError(_describe_encoding_error(url)) from None
    except csv.Error as error:
        raise InputError(f"{url}: neither Parquet nor CSV: {error}") from None


def _read_records(file: io.BufferedReader, skip_spaces: bool) -> Iterator[NumberedRecord]:
    """Yield the records that are not empty, each with the number of its last line."""
    while file.peek(len(codecs.BOM_UTF8)).startswith(codecs.BOM_UTF8):  # some programs write two
        file.read(len(codecs.BOM_UTF8))
    text = io.TextIOWrapper(file, "utf-8", newline="")
    reader = csv.reader(text, skipinitialspace=skip_spaces, strict=True)
    try:
        for record in reader:
            if record:
                yield reader.line_num, record
    except csv.Error as error:
        raise csv.Error(f"line {reader.line_num}: {error}") from None


def _check_delimiter(url: str, header: Sequence[str]) -> None:
    if len(header) != 1:
        return
    for delimiter, name in _OTHER_DELIMITERS.items():
        if delimiter in header[0]:
            raise InputError(
                f"{url}: its cells are separated by {name} ({header[0]!r}); save it with commas"
            )


def _read_slices(
    url: str, records: Iterator[NumberedRecord], num_cells: int, columns: Mapping[int, str]
) -> Iterator[pa.Table]:
    """Yield tables of up to SLICE_ROWS rows of text."""
    while numbered := list(islice(records, SLICE_ROWS)):
        for line, record in numbered:
            if len(record) != num_cells:
                raise InputError(
                    f"{url}: line {line} has {len(record)} cells, the header has {num_cells}; put "
                    "a cell that contains a comma into double quotes"
                )
        yield pa.table(
            {
                name: arrow.string_array(
                    [record[index] or EMPTY_TEXTS.get(name, "") for _, record in numbered]
                )
                for index, name in columns.items()
            }
        )


def _describe_encoding_error(url: str) -> str:
    """Read the file again, and describe its first byte that is not UTF-8 text."""
    decoder = codecs.getincrementaldecoder("utf-8")()
    num_lines = 0
    with storage.open_file(url) as file:
        while piece := file.read(_PIECE_BYTES):
            pending = decoder.getstate()[0]  # of a character that the piece before has begun
            try:
                decoder.decode(piece)
            except UnicodeDecodeError as error:
                data = pending + piece
                line = num_lines + data.count(b"\n", 0, error.start) + 1
                byte = f"(byte 0x{data[error.start]:02x})"
                return f"{url}: line {line} is not UTF-8 text {byte}; save the file as CSV in UTF-8"
            num_lines += piece.count(b"\n")
        pending = decoder.getstate()[0]
    byte = f"(byte 0x{pending[0]:02x})"
    return f"{url}: line {num_lines + 1} is not UTF-8 text {byte}; save the file as CSV in UTF-8"
