"""A table of images as a Parquet file or a folder of Parquet files, in units of row groups."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Callable, NamedTuple

import pyarrow as pa

from halftone import storage
from halftone.arrow.columns import SLICE_ROWS
from halftone.errors import InputError
from halftone.listing.delta_table import find_delta_files
from halftone.listing.listed_rows import fill_columns
from halftone.listing.remarks import UnitRemarks
from halftone.listing.table_columns import PLAIN_TITLES, ColumnTitles, KnownColumns, find_columns
from halftone.listing.table_paths import make_relative
from halftone.storage import FileInfo

_UNIT_BYTES = 64 * 2**20
_ENDING = ".parquet"
_NOT_DATA = ("_", ".")  # Spark and others begin the names of files about files like this
_DELTA_LOG = "_delta_log/"


class ParquetPart(NamedTuple):
    """The row groups of a Parquet file that one unit reads."""

    url: str
    part: int  # which of `num_parts` parts with about the same number of row groups
    num_parts: int


class ParquetTable(NamedTuple):
    root: str  # the folder of images
    files: list[tuple[str, int]]  # the URLs, and the sizes in bytes
    columns: frozenset[str]  # names in TABLE_COLUMNS
    titles: ColumnTitles = PLAIN_TITLES

    def plan_units(self) -> list[list[ParquetPart]]:
        """Return the units: several small files, or parts of a large one."""
        return plan_parts(self.files)

    def list_unit(
        self, remarks: UnitRemarks, unit: Sequence[tuple[str, int, int]]
    ) -> Iterator[pa.Table]:
        """Yield LISTED of one of `plan_units`.

        Raises:
            InputError: a file is no Parquet file or has other columns than the first file, or as
                `make_relative`.
        """
        for values in unit:
            part = ParquetPart(*values)
            for first_row, table in self._read_part(part):
                rows = fill_columns(part.url, table)
                yield make_relative(part.url, self.root, first_row, rows, remarks)

    def _read_part(self, part: ParquetPart) -> Iterator[tuple[int, pa.Table]]:
        """Yield tables with the known columns; with each, the number of rows before it."""
        yield from read_part(part, self._find_columns)

    def _find_columns(self, url: str, header: Sequence[str]) -> Mapping[int, str]:
        names = find_columns(url, header, self.titles).by_index
        if set(names.values()) != self.columns:
            raise InputError(
                f"{url}: has the columns {', '.join(sorted(names.values()))}, and another file of "
                f"the table {', '.join(sorted(self.columns))}; write all files with the same "
                "columns"
            )
        return names


def read_part(
    part: ParquetPart, find: Callable[[str, Sequence[str]], Mapping[int, str]]
) -> Iterator[tuple[int, pa.Table]]:
    """Yield tables of a part of a file; with each, the number of rows of the file before it.

    Args:
        find: gets the URL and the names of the file's columns; returns the names that columns get
            in the tables, by their index. Others are not read.

    Raises:
        InputError: it is no Parquet file.
    """
    with parquet_errors(part.url), storage.open_parquet(part.url) as file:
        header = file.schema_arrow.names
        names = find(part.url, header)
        groups = part_of_groups(file.num_row_groups, part)
        first_row = sum(file.metadata.row_group(group).num_rows for group in range(groups[0]))
        for batch in file.iter_batches(
            SLICE_ROWS, list(range(*groups)), [header[index] for index in names]
        ):
            yield first_row, pa.Table.from_batches([batch]).rename_columns([*names.values()])
            first_row += batch.num_rows


def plan_parts(files: Sequence[tuple[str, int]]) -> list[list[ParquetPart]]:
    """Return units of about 64 MiB each.

    Args:
        files: URLs, and sizes in bytes.
    """
    units: list[list[ParquetPart]] = []
    num_bytes = _UNIT_BYTES
    for url, size_bytes in files:
        num_parts = max(1, -(-size_bytes // _UNIT_BYTES))
        if num_parts == 1 and num_bytes + size_bytes <= _UNIT_BYTES:
            units[-1].append(ParquetPart(url, 0, 1))
            num_bytes += size_bytes
        else:
            units += [[ParquetPart(url, part, num_parts)] for part in range(num_parts)]
            num_bytes = size_bytes
    return units


def part_of_groups(num_groups: int, part: ParquetPart) -> tuple[int, int]:
    """Return the number of the first row group of a part, and of the first behind it."""
    low, high = (num_groups * number // part.num_parts for number in (part.part, part.part + 1))
    return low, high


def open_parquet_table(
    url: str, root: str, titles: ColumnTitles = PLAIN_TITLES
) -> tuple[ParquetTable, KnownColumns]:
    """Find the files of a table, and read the names of the columns of the first one.

    Raises:
        FileNotFoundError: there is no such file or folder.
        InputError: it is no Parquet file, no folder of such files, or as `find_columns`.
    """
    size_bytes = storage.file_size(url)
    files = [(url, size_bytes)] if size_bytes is not None else find_parquet_files(url)
    first_url = files[0][0]
    with parquet_errors(first_url):
        known = find_columns(first_url, storage.read_column_names(first_url), titles)
    return ParquetTable(root, files, frozenset(known.by_index.values()), titles), known


def find_parquet_files(url: str) -> list[tuple[str, int]]:
    """Return the URLs and sizes of the Parquet files below a folder, or of a Delta table.

    Raises:
        FileNotFoundError: there is no such folder.
        InputError: there are none, or other files, or as `find_delta_files`.
    """
    files = storage.list_files(url)
    if any(file.path.startswith(_DELTA_LOG) for file in files):
        return find_delta_files(url)
    data = [file for file in files if _is_data(file)]
    for file in data:
        if "=" in file.path.rpartition("/")[0]:
            raise InputError(
                f"{url}: is partitioned: {file.path} has a column in the name of its folder; write "
                "it without partitions"
            )
        if not file.path.lower().endswith(_ENDING):
            raise InputError(f"{url}: contains {file.path}, whose name does not end in {_ENDING}")
    if not data:
        raise InputError(f"{url}: has no Parquet files, whose names end in {_ENDING}")
    return [(storage.join(url, file.path), file.size_bytes) for file in data]


def _is_data(file: FileInfo) -> bool:
    parts = file.path.split("/")
    return bool(parts[-1]) and not any(part.startswith(_NOT_DATA) for part in parts)


@contextmanager
def parquet_errors(url: str) -> Iterator[None]:
    """Translate the errors of reading a file that is no Parquet file to InputError."""
    try:
        yield
    except pa.ArrowException as error:
        raise InputError(f"{url}: neither Parquet nor CSV: {error}") from None
