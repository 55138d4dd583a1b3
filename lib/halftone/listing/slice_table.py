"""A table that gives images a value in each of some columns, such as the camera.

It is read as a table of images is: CSV, JSON Lines, Parquet, a folder of Parquet files, or the
metadata of an ImageFolder.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from functools import partial
from typing import Any, NamedTuple, Optional, Union

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from halftone import arrow, storage
from halftone.arrow import Column
from halftone.dataset import schema
from halftone.errors import InputError
from halftone.listing.csv_table import CsvTable, read_header
from halftone.listing.image_folder import MetadataFile, find_metadata, is_metadata, place_of
from halftone.listing.inventory import MANIFEST_NAME
from halftone.listing.json_lines import open_json_values
from halftone.listing.line_table import LineTable
from halftone.listing.parquet_table import (
    ParquetPart,
    find_parquet_files,
    parquet_errors,
    plan_parts,
    read_part,
)
from halftone.listing.table_columns import PLAIN_TITLES, find_value_columns
from halftone.listing.table_formats import TextFormat, find_text_format
from halftone.listing.table_paths import NO_BASE, relative_path
from halftone.storage import FileInfo

VALUES = "values"
# The values of an image, in the order of the columns; empty if the table has none.
VALUE_ROWS = pa.schema([pa.field(schema.KEY, pa.string()), pa.field(VALUES, pa.list_(pa.string()))])
_ENDING = ".parquet"


class SliceTable(NamedTuple):
    """A table and some of its columns. It can be pickled."""

    url: str
    root: str  # the folder of images
    columns: tuple[str, ...]
    texts: tuple[Union[CsvTable, LineTable], ...]  # empty: a Parquet file or a folder of them
    files: tuple[FileInfo, ...]  # below the URL, or the file itself with the path ""

    @property
    def size_bytes(self) -> int:
        return sum(file.size_bytes for file in self.files)

    def plan_units(self) -> list[str]:
        """Return the units, as JSON: one for a CSV file, otherwise parts of about 64 MiB."""
        if self.texts:
            of_texts = [list[Any](table.plan_units()) for table in self.texts]
            return [json.dumps([n, unit]) for n, units in enumerate(of_texts) for unit in units]
        urls = [storage.join(self.url, file.path) if file.path else self.url for file in self.files]
        sizes = [file.size_bytes for file in self.files]
        return [json.dumps(unit) for unit in plan_parts(list(zip(urls, sizes)))]

    def read_unit(self, unit: str) -> Iterator[pa.Table]:
        """Yield VALUE_ROWS of one of `plan_units`; runs in a worker.

        Raises:
            InputError: a file is not as its table should be, or a path is empty.
        """
        if self.texts:
            number, unit_of_text = json.loads(unit)
            text = self.texts[number]
            num_rows = 0
            for table in text.read_texts(unit_of_text):
                yield self._value_rows(text.url, num_rows, text.base.apply(table))
                num_rows += table.num_rows
            return
        for url, part, num_parts in json.loads(unit):
            find = partial(_find_columns, self.columns)
            for first_row, table in read_part(ParquetPart(url, part, num_parts), find):
                yield self._value_rows(url, first_row, table)

    def _value_rows(self, url: str, first_row: int, table: pa.Table) -> pa.Table:
        paths = _texts(url, table, schema.PATH, schema.PATH)
        empty = np.flatnonzero(arrow.to_numpy(pc.binary_length(paths)) == 0)
        if len(empty):
            raise InputError(f"{url}: row {first_row + int(empty[0]) + 1} has no path")
        values = [
            _texts(url, table, str(number), name).to_pylist()
            for number, name in enumerate(self.columns)
        ]
        keys = [self._key(path) for path in paths.to_pylist()]
        columns = [
            arrow.string_array(keys),
            arrow.make_array(list(zip(*values)), VALUE_ROWS.field(VALUES).type),
        ]
        return pa.table(columns, schema=VALUE_ROWS)

    def _key(self, path: str) -> str:
        """Return the key that the image of a path has; a path elsewhere is no key of an image."""
        below = relative_path(self.root, path)
        return path if below is None else storage.join(self.root, below)


def open_slice_table(url: str, root: str, columns: Sequence[str]) -> SliceTable:
    """Find the files of a table, and check that it has the columns.

    Args:
        url: of the table.
        root: the folder of images.
        columns: names of columns; spaces around them and case do not matter.

    Raises:
        InputError: there is no such table, it is not readable, or a column is missing.
    """
    if url.rpartition("/")[2] == MANIFEST_NAME:
        raise InputError(
            f"{url}: is a report of S3 Inventory, which has no columns for score.slices; give a "
            "table that has them as score.slice_catalogue"
        )
    file = storage.file_info(url)
    try:
        if metadata := _find_texts(url, file):
            texts = [_open_text(found, root, columns) for found in metadata]
            infos = [_info_below(url, found.url) for found in metadata]
            return SliceTable(url, root, tuple(columns), tuple(texts), tuple(infos))
        files = _find_files(url) if file is None else [file]
    except FileNotFoundError:
        raise InputError(
            f"{url}: no such file; check score.slice_catalogue, or the catalogue that is used "
            "without it"
        ) from None
    first_url = storage.join(url, files[0].path) if file is None else url
    with parquet_errors(first_url):
        find_value_columns(first_url, storage.read_column_names(first_url), columns)
    return SliceTable(url, root, tuple(columns), (), tuple(files))


def _find_texts(url: str, file: Optional[FileInfo]) -> list[MetadataFile]:
    """Return the text files of a table; none if it may be Parquet."""
    if url.lower().endswith(_ENDING):
        return []
    if file is None or is_metadata(url):
        return find_metadata(url)
    return [MetadataFile(url, NO_BASE)]


def _open_text(file: MetadataFile, root: str, columns: Sequence[str]) -> Union[CsvTable, LineTable]:
    url = file.url
    titles, base = place_of(file) if file.base.folder else (PLAIN_TITLES, NO_BASE)
    kind = find_text_format(url)
    if kind is TextFormat.JSON_LINES:
        return open_json_values(url, root, columns, titles.path, base)
    if kind is not TextFormat.CSV:
        raise InputError(
            f"{url}: is {kind.value}, which has no columns for score.slices; give a table that has "
            "them as score.slice_catalogue"
        )
    header = read_header(url)
    indices = find_value_columns(url, header.names, columns, titles.path)
    return CsvTable(url, root, len(header.names), indices, header.skip_spaces, base)


def _info_below(url: str, file_url: str) -> FileInfo:
    """Return what is known of a file, with its path below `url`."""
    info = storage.file_info(file_url)
    if info is None:
        raise FileNotFoundError(file_url)
    return info._replace(path=file_url[len(url) :].lstrip("/"))


def _find_files(url: str) -> list[FileInfo]:
    """Return the files of a folder that are data."""
    names = {found for found, _ in find_parquet_files(url)}
    return [file for file in storage.list_files(url) if storage.join(url, file.path) in names]


def _find_columns(columns: Sequence[str], url: str, header: Sequence[str]) -> Mapping[int, str]:
    return find_value_columns(url, header, columns)


def _texts(url: str, table: pa.Table, name: str, title: str) -> Column:
    """Return a column as texts; a missing value is the empty text."""
    column = table[name]
    try:
        if pa.types.is_dictionary(column.type):
            column = pc.cast(column, column.type.value_type)
        texts = column if column.type == pa.string() else pc.cast(column, pa.string())
    except pa.ArrowException as error:
        raise InputError(f"{url}: column {title} cannot be read as text: {error}") from None
    return pc.fill_null(texts, arrow.string_array([""])[0])
