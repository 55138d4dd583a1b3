"""List the images: all of a folder, or those that a table names."""

from __future__ import annotations

import io
from collections import Counter
from collections.abc import Sequence
from typing import NamedTuple, Optional

import pyarrow as pa
import pyarrow.compute as pc
from pyarrow import csv

from halftone import arrow, storage
from halftone.arrow import Column
from halftone.dataset import schema
from halftone.errors import InputError
from halftone.storage import FileInfo

# The size of a file if the table has no column for it. A change of the file is then not detected.
UNKNOWN_BYTES = -1

GROUP = "group"  # name of the column with the groups that must not be split

FILES = pa.schema(
    [
        pa.field(schema.PATH, pa.string()),  # below the folder of images
        # Label, group and split are the empty string if the listing does not have them.
        pa.field(schema.LABEL, pa.string()),
        pa.field(GROUP, pa.string()),
        pa.field(schema.SPLIT, pa.string()),  # a name as the data set spells it
        pa.field(schema.SIZE_BYTES, pa.int64()),  # or UNKNOWN_BYTES
        pa.field(schema.MODIFIED, pa.float64()),  # seconds since 1970; 0 if it is not known
    ]
)
_DEFAULTS = {
    pa.string(): arrow.string_array([""]),
    pa.int64(): arrow.number_array([UNKNOWN_BYTES], pa.int64()),
    pa.float64(): arrow.number_array([0.0], pa.float64()),
}


class Listing(NamedTuple):
    """The images of a folder or a table."""

    files: pa.Table  # FILES
    has_labels: bool  # whether the source has a column of labels
    ignored: dict[str, int]  # number of files that are no images, by the ending of their names
    non_utf8_files: list[FileInfo]  # images that no string column can name


def list_images(root: str, table_url: Optional[str], suffixes: Sequence[str]) -> Listing:
    """List the images of the table at `table_url` or, if it is None, those below `root`.

    Raises:
        InputError: as `list_table` and `list_folder`.
    """
    return (
        list_folder(root, suffixes)
        if table_url is None
        else list_table(storage.normalise_url(table_url))
    )


def list_folder(root: str, suffixes: Sequence[str]) -> Listing:
    """List the files below `root` whose names end in one of `suffixes`.

    Raises:
        InputError: there is no such folder, or there are no images in it.
    """
    try:
        files = storage.list_files(root)
    except FileNotFoundError:
        raise InputError(f"{root}: no such folder; check paths.images or --input") from None
    except NotADirectoryError:
        raise InputError(f"{root}: is a file; paths.images must be a folder of images") from None
    endings = {suffix.lower().lstrip(".") for suffix in suffixes}
    images: list[FileInfo] = []
    non_utf8_images: list[FileInfo] = []
    ignored: Counter[str] = Counter()
    for file in files:
        name = file.path.rpartition("/")[2]
        suffix = name.rpartition(".")[2] if "." in name else ""
        if suffix.lower() not in endings:
            ignored[f".{suffix}" if suffix else "no ending"] += 1
        elif _is_utf8(file.path):
            images.append(file)
        else:
            non_utf8_images.append(file)
    if not images and not non_utf8_images:
        raise InputError(
            f"{root}: no images among {len(files)} files; searched at any depth for names that "
            f"end in {', '.join(sorted(endings))} (preprocess.suffixes)"
        )
    table = pa.table(
        {
            schema.PATH: arrow.chunked_string_array(file.path for file in images),
            schema.SIZE_BYTES: arrow.number_array([file.size_bytes for file in images], pa.int64()),
            schema.MODIFIED: arrow.number_array([file.modified for file in images], pa.float64()),
        }
    )
    return Listing(_fill_columns(root, table), False, dict(ignored), non_utf8_images)


def _is_utf8(path: str) -> bool:
    try:
        path.encode()
    except UnicodeEncodeError:
        return False
    return True


def list_table(url: str) -> Listing:
    """List the images of a Parquet or CSV file with the column `path` and optional others.

    `path` is relative to the folder of images. `label`, `group` and `split` take precedence over
    the patterns of the config. `size_bytes` and `modified` (seconds since 1970) let a later run
    detect changed files.

    Raises:
        InputError: no such file, not such a table, no rows, or a path that occurs twice.
    """
    table = _read_table(url)
    if schema.PATH not in table.column_names:
        raise InputError(
            f"{url}: has no column {schema.PATH}; it has {', '.join(table.column_names)}, and may "
            f"have {', '.join(FILES.names)}"
        )
    files = _fill_columns(url, table)
    _check_paths(url, table[schema.PATH], files[schema.PATH])
    return Listing(files, schema.LABEL in table.column_names, {}, [])


def _read_table(url: str) -> pa.Table:
    try:
        if url.lower().endswith(".parquet"):
            return storage.read_table(url)
        text_columns = {field.name: field.type for field in FILES if field.type == pa.string()}
        options = csv.ConvertOptions(column_types=text_columns, strings_can_be_null=True)
        return csv.read_csv(io.BytesIO(storage.read_bytes(url)), convert_options=options)
    except FileNotFoundError:
        raise InputError(f"{url}: no such file; check preprocess.catalogue") from None
    except pa.ArrowException as error:
        raise InputError(f"{url}: neither Parquet nor CSV: {error}") from None


def _fill_columns(source: str, table: pa.Table) -> pa.Table:
    """Return FILES with the columns that the table has, and default values in the others."""
    return pa.table([_column_or_default(source, table, field) for field in FILES], schema=FILES)


def _column_or_default(source: str, table: pa.Table, field: pa.Field) -> Column:
    default = _DEFAULTS[field.type]
    if field.name not in table.column_names:
        return arrow.repeat_value(default, table.num_rows)
    try:
        # A column of integers with missing values may have been written as floats.
        return pc.fill_null(pc.cast(table[field.name], field.type, safe=False), default[0])
    except pa.ArrowException as error:
        raise InputError(f"{source}: column {field.name} must be {field.type}: {error}") from None


def _check_paths(url: str, raw_paths: pa.ChunkedArray, paths: pa.ChunkedArray) -> None:
    """Check that there are paths, that none is null in the table and that none occurs twice."""
    if not len(paths):
        raise InputError(f"{url}: names no images")
    if raw_paths.null_count:
        row = raw_paths.is_null().to_pylist().index(True)
        raise InputError(f"{url}: row {row + 1} has no path")
    paths = arrow.widen(paths)
    if len(pc.unique(paths)) < len(paths):
        counts = pc.value_counts(paths).to_pylist()
        repeated = [count["values"] for count in counts if count["counts"] > 1]
        raise InputError(
            f"{url}: names {len(repeated)} paths more than once, such as {repeated[0]}"
        )
