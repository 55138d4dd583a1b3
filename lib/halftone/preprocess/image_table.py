"""List the images that a Parquet or CSV file names."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence
from typing import NamedTuple

import pyarrow as pa
import pyarrow.compute as pc

from halftone import arrow, storage
from halftone.dataset import schema
from halftone.errors import InputError
from halftone.preprocess import csv_table, table_paths
from halftone.preprocess.csv_table import TextColumn
from halftone.preprocess.listed_files import EMPTY_TEXTS, FILES, GROUP, Listing, fill_columns

_BYTE_ORDER_MARKS = "\ufeff\u200b"  # the latter has no width either


def list_table(url: str, root: str) -> Listing:
    """List the images of a Parquet or CSV file with the column `path` and optional others.

    `path` is relative to `root`, or an absolute path or URL below it. `label`, `group` and `split`
    take precedence over the patterns of the config. `size_bytes` and `modified` (seconds since
    1970) let a later run detect changed files. Spaces around the names of columns and their case do
    not matter. Only an empty cell is a missing value.

    Args:
        root: the folder of images.

    Raises:
        InputError: no such file, not such a table, no rows, two columns of one name, a path that
            occurs twice or is not below `root`.
    """
    table, unknown = _read_table(url)
    files = fill_columns(url, table)
    if not files.num_rows:
        raise InputError(f"{url}: names no images")
    paths = table_paths.relative_paths(url, root, files[schema.PATH])
    files = files.set_column(files.schema.get_field_index(schema.PATH), schema.PATH, paths)
    has_labels = schema.LABEL in table.column_names
    return Listing(
        files,
        has_labels,
        {},
        [],
        used_columns=tuple(_used_columns(files, has_labels)),
        unknown_columns=tuple(unknown),
        notes=tuple(_notes(url, unknown, has_labels, paths)),
    )


def _used_columns(files: pa.Table, has_labels: bool) -> Iterator[str]:
    if has_labels:
        yield schema.LABEL
    for name in (GROUP, schema.SPLIT):
        if (arrow.to_numpy(pc.binary_length(files[name])) > 0).any():
            yield name


def _notes(
    url: str, unknown: Sequence[str], has_labels: bool, paths: pa.ChunkedArray
) -> Iterator[str]:
    if unknown:
        names = ", ".join(map(repr, unknown))
        yield (f"{url}: columns that are not used: {names}; known are {', '.join(FILES.names)}")
    if not has_labels:
        yield (
            f"{url}: has no column {schema.LABEL}; the labels come from the paths, by "
            "preprocess.label_from"
        )
    backslashes = table_paths.find_backslashes(paths)
    if backslashes.num:
        yield (
            f"{url}: {backslashes.num:,} paths contain a back-slash, such as "
            f"{backslashes.example}; it is taken as part of the name"
        )


class _KnownColumns(NamedTuple):
    """The columns of a table that have a meaning."""

    by_index: dict[int, str]  # names in FILES
    unknown: list[str]  # the names of the others, as they are written


def _read_table(url: str) -> tuple[pa.Table, list[str]]:
    """Return the known columns, and the names of the unknown ones."""
    unknown: list[str] = []

    def choose_columns(header: Sequence[str]) -> dict[int, TextColumn]:
        known = find_columns(url, header)
        unknown.extend(known.unknown)
        return {
            index: TextColumn(name, EMPTY_TEXTS[name]) for index, name in known.by_index.items()
        }

    try:
        if not url.lower().endswith(".parquet"):
            return csv_table.read_csv(url, storage.read_bytes(url), choose_columns), unknown
        header = storage.read_column_names(url)
        known = find_columns(url, header)
        table = storage.read_table(url, [header[index] for index in known.by_index])
        return table.rename_columns(list(known.by_index.values())), known.unknown
    except FileNotFoundError:
        raise InputError(f"{url}: no such file; check preprocess.catalogue") from None
    except pa.ArrowException as error:
        raise InputError(f"{url}: neither Parquet nor CSV: {error}") from None


def find_columns(url: str, header: Sequence[str]) -> _KnownColumns:
    """Find the columns of FILES by the names in a header.

    Spaces (also those that do not break), byte order marks and case do not matter.

    Raises:
        InputError: two columns have the same name, or there is no column `path`.
    """
    names = [_clean_name(name) for name in header]
    repeated = [name for name, count in Counter(names).items() if name and count > 1]
    if repeated:
        same = [repr(raw) for raw, name in zip(header, names) if name == repeated[0]]
        raise InputError(
            f"{url}: {len(same)} columns have the name {repeated[0]}: {', '.join(same)} (spaces "
            "and case do not matter); remove or rename all but one"
        )
    if schema.PATH not in names:
        raise InputError(
            f"{url}: has no column {schema.PATH}; it has {', '.join(map(repr, header))}, and may "
            f"have {', '.join(FILES.names)}"
        )
    by_index = {index: name for index, name in enumerate(names) if name in FILES.names}
    return _KnownColumns(
        by_index, [raw for index, raw in enumerate(header) if index not in by_index]
    )


def _clean_name(name: str) -> str:
    return name.strip(_BYTE_ORDER_MARKS).strip().strip(_BYTE_ORDER_MARKS).strip().casefold()
