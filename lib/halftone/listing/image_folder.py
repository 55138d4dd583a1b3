"""An ImageFolder of Hugging Face: metadata.csv or metadata.jsonl beside the images.

Paths are relative to the folder of the metadata. There may be a file for all images, or one in each
folder of a split, such as train/metadata.csv and test/metadata.csv.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any, NamedTuple, Union

import pyarrow as pa

from halftone import storage
from halftone.dataset import schema
from halftone.dataset.splits import SPLIT_NAMES
from halftone.errors import InputError
from halftone.listing.csv_table import CsvTable, open_csv, read_header
from halftone.listing.json_lines import open_json_lines, sample_keys
from halftone.listing.line_table import LineTable
from halftone.listing.remarks import UnitRemarks
from halftone.listing.table_columns import (
    PLAIN_TITLES,
    ColumnTitles,
    KnownColumns,
    clean_name,
)
from halftone.listing.table_paths import PathBase

METADATA_CSV, METADATA_JSONL = "metadata.csv", "metadata.jsonl"
METADATA_NAMES = (METADATA_CSV, METADATA_JSONL)
PATH_TITLE = "file_name"


class MetadataFile(NamedTuple):
    url: str
    base: PathBase


class ImageFolder(NamedTuple):
    """The metadata of all splits."""

    tables: list[Union[CsvTable, LineTable]]

    def plan_units(self) -> list[tuple[int, Any]]:
        """Return the units of all tables, each with the number of its table."""
        units = [list[Any](table.plan_units()) for table in self.tables]
        return [(number, unit) for number, some in enumerate(units) for unit in some]

    def list_unit(self, remarks: UnitRemarks, unit: Sequence[Any]) -> Iterator[pa.Table]:
        """Yield LISTED of one of `plan_units`.

        Raises:
            InputError: as `list_unit` of its table.
        """
        number, unit_of_table = unit
        yield from self.tables[number].list_unit(remarks, unit_of_table)


def is_metadata(url: str) -> bool:
    """Return whether a file has a name of metadata."""
    return url.rpartition("/")[2] in METADATA_NAMES


def find_metadata(url: str) -> list[MetadataFile]:
    """Find the metadata of an ImageFolder.

    Args:
        url: of a folder, or of a file of metadata.

    Returns:
        The files, in the order of the names of the splits; empty if there are none.

    Raises:
        InputError: a folder has two, or both the folder and a folder of a split in it have one.
    """
    if is_metadata(url):
        return [MetadataFile(url, PathBase(url.rpartition("/")[0]))]
    files = [MetadataFile(found, PathBase(url)) for found in _find_in_folder(url)]
    for name in sorted(SPLIT_NAMES):
        folder = storage.join(url, name)
        files += [MetadataFile(found, PathBase(folder, name)) for found in _find_in_folder(folder)]
    folders = [file.base.folder for file in files]
    if len(set(folders)) < len(folders) or (url in folders and len(files) > 1):
        raise InputError(
            f"{url}: has the metadata {' and '.join(file.url for file in files)}; keep one file, "
            "or one in each folder of a split"
        )
    return files


def _find_in_folder(folder: str) -> list[str]:
    urls = [storage.join(folder, name) for name in METADATA_NAMES]
    return [url for url in urls if storage.file_size(url) is not None]


def open_image_folder(
    files: Sequence[MetadataFile], root: str, titles: ColumnTitles
) -> tuple[Union[ImageFolder, CsvTable, LineTable], KnownColumns]:
    """Open the metadata of an ImageFolder.

    Args:
        files: at least one.
        titles: the name of the column of labels.

    Raises:
        FileNotFoundError: a file does not exist.
        InputError: the files have different columns, or one is not readable.
    """
    opened = [_open_file(file, root, titles) for file in files]
    tables, columns = [table for table, _ in opened], [known for _, known in opened]
    for file, known in zip(files, columns):
        if file.base.split and schema.SPLIT in known.names:
            raise InputError(
                f"{file.url}: has a column {schema.SPLIT}, and its folder is that of a split; "
                "remove the column"
            )
        if known.names != columns[0].names:
            raise InputError(
                f"{file.url}: has the columns {', '.join(sorted(known.names))}, and "
                f"{files[0].url} has {', '.join(sorted(columns[0].names))}; write all with the "
                "same columns"
            )
    if len(tables) == 1:
        return tables[0], columns[0]
    unknown = dict.fromkeys(name for known in columns for name in known.unknown)
    return ImageFolder(tables), KnownColumns(columns[0].by_index, list(unknown))


def _open_file(
    file: MetadataFile, root: str, titles: ColumnTitles
) -> tuple[Union[CsvTable, LineTable], KnownColumns]:
    titles, base = place_of(file, titles)
    if file.url.endswith(METADATA_CSV):
        return open_csv(file.url, root, titles, base)
    return open_json_lines(file.url, root, titles, base)


def place_of(
    file: MetadataFile, titles: ColumnTitles = PLAIN_TITLES
) -> tuple[ColumnTitles, PathBase]:
    """Return the titles with that of the paths, and of which folder these are relative.

    A file without `file_name` is a table like any other: its `path` is relative to the folder of
    images.

    Raises:
        FileNotFoundError: there is no such file.
        InputError: it is not readable.
    """
    is_csv = file.url.endswith(METADATA_CSV)
    header = read_header(file.url).names if is_csv else sample_keys(file.url)
    names = {clean_name(name) for name in header}
    if schema.PATH in names and PATH_TITLE not in names:
        return titles, file.base._replace(folder=None)
    return titles._replace(path=PATH_TITLE), file.base
