"""A Parquet file in units of row groups."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import NamedTuple

import pyarrow as pa

from halftone import storage
from halftone.arrow.columns import SLICE_ROWS
from halftone.errors import InputError
from halftone.listing.listed_rows import fill_columns
from halftone.listing.remarks import UnitRemarks
from halftone.listing.table_columns import KnownColumns, find_columns
from halftone.listing.table_paths import make_relative

_UNIT_BYTES = 64 * 2**20


class ParquetPart(NamedTuple):
    """The row groups of a Parquet file that one unit reads."""

    url: str
    part: int  # which of `num_parts` parts with about the same number of row groups
    num_parts: int


class ParquetTable(NamedTuple):
    url: str
    root: str  # the folder of images
    columns: frozenset[str]  # names in TABLE_COLUMNS

    def plan_units(self) -> list[list[ParquetPart]]:
        size_bytes = storage.file_size(self.url) or 0
        num_parts = -(-size_bytes // _UNIT_BYTES)
        return [[ParquetPart(self.url, part, num_parts)] for part in range(num_parts)]

    def list_unit(
        self, remarks: UnitRemarks, unit: list[tuple[str, int, int]]
    ) -> Iterator[pa.Table]:
        """Yield LISTED of one of `plan_units`.

        Raises:
            InputError: a file is no Parquet file, or as `make_relative`.
        """
        for values in unit:
            part = ParquetPart(*values)
            for first_row, table in _read_part(part):
                rows = fill_columns(part.url, table)
                yield make_relative(part.url, self.root, first_row, rows, remarks)


def open_parquet_table(url: str, root: str) -> tuple[ParquetTable, KnownColumns]:
    """Read the names of the columns of a Parquet file.

    Raises:
        FileNotFoundError: there is no such file.
        InputError: it is no Parquet file, or as `find_columns`.
    """
    with parquet_errors(url):
        known = find_columns(url, storage.read_column_names(url))
    return ParquetTable(url, root, frozenset(known.by_index.values())), known


def _read_part(part: ParquetPart) -> Iterator[tuple[int, pa.Table]]:
    """Yield tables of up to SLICE_ROWS rows with the known columns; with each, its first row."""
    with parquet_errors(part.url), storage.open_parquet(part.url) as file:
        header = file.schema_arrow.names
        names: Mapping[int, str] = find_columns(part.url, header).by_index
        num_groups = file.num_row_groups
        ends = [num_groups * number // part.num_parts for number in (part.part, part.part + 1)]
        first_row = sum(file.metadata.row_group(group).num_rows for group in range(ends[0]))
        for batch in file.iter_batches(
            SLICE_ROWS, list(range(*ends)), [header[index] for index in names]
        ):
            table = pa.Table.from_batches([batch]).rename_columns(list(names.values()))
            yield first_row, table
            first_row += table.num_rows


@contextmanager
def parquet_errors(url: str) -> Iterator[None]:
    """Translate the errors of reading a Parquet file to InputError."""
    try:
        yield
    except pa.ArrowException as error:
        raise InputError(f"{url}: neither Parquet nor CSV: {error}") from None
