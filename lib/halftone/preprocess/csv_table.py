"""Read a CSV file as Arrow columns.

By hand, with Python's csv module: Arrow's reader takes `NA` and `null` for missing values unless it
knows the columns' names beforehand, and its errors name neither the line nor the cure.
"""

from __future__ import annotations

import codecs
import csv
import io
from collections.abc import Iterator, Sequence
from itertools import islice
from typing import Callable, NamedTuple

import pyarrow as pa

from halftone import arrow
from halftone.arrow.columns import SLICE_ROWS
from halftone.errors import InputError

_OTHER_DELIMITERS = {";": "semicolons", "\t": "tabs", "|": "vertical bars"}
_PARQUET_MARK = b"PAR1"
_UTF16_MARKS = (codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)

# The number of a record's last line in the file, and its cells.
NumberedRecord = tuple[int, list[str]]


class TextColumn(NamedTuple):
    name: str
    empty_value: str  # what an empty cell stands for


def read_csv(
    url: str, data: bytes, choose_columns: Callable[[Sequence[str]], dict[int, TextColumn]]
) -> pa.Table:
    """Read the chosen columns of a CSV file, as text.

    Args:
        url: of the file, for errors.
        data: the content: UTF-8, with or without a byte order mark. Commas separate the cells. If
            spaces follow the commas of the header, spaces after all commas are skipped.
        choose_columns: gets the names in the header; returns the columns to read, by their index.

    Raises:
        InputError: the file is no such CSV file, or as `choose_columns`.
    """
    if data.startswith(_UTF16_MARKS):
        raise InputError(f"{url}: is UTF-16 text; save it as CSV in UTF-8")
    if data.startswith(_PARQUET_MARK):
        raise InputError(f"{url}: is a Parquet file; its name must end in .parquet")
    try:
        _, header = next(_read_records(data, skip_spaces=False), (0, [""]))
        skip_spaces = any(name.startswith(" ") for name in header[1:])
        records = _read_records(data, skip_spaces)
        _, header = next(records, (0, [""]))
        _check_delimiter(url, header)
        columns = choose_columns(header)
        slices = list(_read_slices(url, records, len(header), columns))
    except UnicodeDecodeError:
        raise InputError(_encoding_error(url, data)) from None
    except csv.Error as error:
        raise InputError(f"{url}: neither Parquet nor CSV: {error}") from None
    empty = pa.schema([pa.field(column.name, pa.string()) for column in columns.values()])
    return pa.concat_tables([arrow.empty_table(empty), *slices])


def _read_records(data: bytes, skip_spaces: bool) -> Iterator[NumberedRecord]:
    """Yield the records that are not empty, each with the number of its last line."""
    stream = io.BytesIO(data)
    while data.startswith(codecs.BOM_UTF8, stream.tell()):  # some programs write two
        stream.seek(len(codecs.BOM_UTF8), io.SEEK_CUR)
    text = io.TextIOWrapper(stream, "utf-8", newline="")
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
    url: str, records: Iterator[NumberedRecord], num_cells: int, columns: dict[int, TextColumn]
) -> Iterator[pa.Table]:
    """Yield tables of up to SLICE_ROWS rows."""
    while numbered := list(islice(records, SLICE_ROWS)):
        for line, record in numbered:
            if len(record) != num_cells:
                raise InputError(
                    f"{url}: line {line} has {len(record)} cells, the header has {num_cells}; put "
                    "a cell that contains a comma into double quotes"
                )
        yield pa.table(
            {
                column.name: arrow.string_array(
                    [record[index] or column.empty_value for _, record in numbered]
                )
                for index, column in columns.items()
            }
        )


def _encoding_error(url: str, data: bytes) -> str:
    try:
        data.decode()
    except UnicodeDecodeError as error:
        line = data.count(b"\n", 0, error.start) + 1
        return (
            f"{url}: line {line} is not UTF-8 text (byte 0x{data[error.start]:02x}); save the file "
            "as CSV in UTF-8"
        )
    raise AssertionError("not reached")
