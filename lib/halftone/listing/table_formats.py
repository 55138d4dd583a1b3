"""Choose the reader of a table of images: by the ending of its name, and else by its first line."""

from __future__ import annotations

import codecs
import json
from enum import Enum
from typing import Optional, Union

from halftone import storage
from halftone.errors import InputError
from halftone.listing import label_manifest, lst_table
from halftone.listing.coco import CocoTable, open_coco
from halftone.listing.csv_table import CsvTable, open_csv
from halftone.listing.image_folder import (
    ImageFolder,
    find_metadata,
    is_metadata,
    open_image_folder,
)
from halftone.listing.json_lines import open_json_lines
from halftone.listing.line_table import LineTable
from halftone.listing.parquet_table import ParquetTable, open_parquet_table
from halftone.listing.table_columns import ColumnTitles, KnownColumns

TableSource = Union[CsvTable, ParquetTable, LineTable, ImageFolder, CocoTable]
_PARQUET_ENDING = ".parquet"
_JSON_LINES_ENDINGS = (".jsonl", ".ndjson")
_JSON_ENDING = ".json"
_START_BYTES = 2**16
_COCO_KEYS = ("images", "annotations", "categories")


class TextFormat(Enum):
    """The formats of single text files, with their names for messages."""

    CSV = "CSV"
    JSON_LINES = "JSON Lines"
    LST = "a .lst file"
    LABEL_MANIFEST = "a manifest of labels"
    COCO = "a file of COCO"


_ENDINGS = {lst_table.ENDING: TextFormat.LST, label_manifest.ENDING: TextFormat.LABEL_MANIFEST}


def open_table(url: str, root: str, titles: ColumnTitles) -> tuple[TableSource, KnownColumns]:
    """Open a table of images.

    Args:
        root: the folder of images.

    Raises:
        FileNotFoundError: there is no such file or folder.
        InputError: it is no such table.
    """
    name = url.lower()
    if name.endswith(_PARQUET_ENDING):
        return open_parquet_table(url, root, titles)
    if storage.file_size(url) is None:
        if files := find_metadata(url):
            return open_image_folder(files, root, titles)
        return open_parquet_table(url, root, titles)
    if is_metadata(url):
        return open_image_folder(find_metadata(url), root, titles)
    return _open_text(url, root, titles)


def _open_text(url: str, root: str, titles: ColumnTitles) -> tuple[TableSource, KnownColumns]:
    kind = find_text_format(url)
    if kind is TextFormat.LABEL_MANIFEST:
        return label_manifest.open_manifest(url, root, titles)
    if kind is TextFormat.JSON_LINES:
        return open_json_lines(url, root, titles)
    if kind is TextFormat.CSV:
        return open_csv(url, root, titles)
    _check_no_label_title(url, titles)
    return lst_table.open_lst(url, root) if kind is TextFormat.LST else open_coco(url, root, titles)


def find_text_format(url: str) -> TextFormat:
    """Return the format of a text file.

    Raises:
        FileNotFoundError: there is no such file.
    """
    name = url.lower()
    for ending, kind in _ENDINGS.items():
        if name.endswith(ending):
            return kind
    start = _read_start(url)
    is_lines = name.endswith(_JSON_LINES_ENDINGS)
    if not (is_lines or name.endswith(_JSON_ENDING) or start.startswith("{")):
        return TextFormat.CSV
    first = _first_object(start)
    if first is not None and label_manifest.PATH_KEY in first:
        return TextFormat.LABEL_MANIFEST
    if is_lines or (first is not None and not any(key in first for key in _COCO_KEYS)):
        return TextFormat.JSON_LINES
    return TextFormat.COCO


def _check_no_label_title(url: str, titles: ColumnTitles) -> None:
    if titles.label is not None and titles.requires_label:
        raise InputError(
            f"{url}: has no names of columns, and preprocess.label_column is {titles.label}; "
            "remove that setting"
        )


def _read_start(url: str) -> str:
    """Return the first 64 KiB as text; what is not UTF-8 does not matter here."""
    with storage.open_file(url) as file:
        start = file.read(_START_BYTES)
    while start.startswith(codecs.BOM_UTF8):
        start = start[len(codecs.BOM_UTF8) :]
    return start.decode("utf-8", "replace").lstrip()


def _first_object(start: str) -> Optional[dict[str, object]]:
    """Return the object of the first line; None if that line alone is none, or is too long."""
    try:
        value = json.loads(start.split("\n", 1)[0])
    except ValueError:
        return None
    return value if isinstance(value, dict) else None
