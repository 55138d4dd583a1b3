"""Which images there are: all of a folder, or those that a table names."""

from __future__ import annotations

import io
from collections import Counter
from collections import Counter as CounterOf
from collections.abc import Sequence
from typing import NamedTuple, Optional

import pyarrow as pa
import pyarrow.compute as pc
from pyarrow import csv

from halftone import arrow, storage
from halftone.arrow import Column
from halftone.errors import InputError
from halftone.storage import FileInfo

# A table need not say how large a file is; then a change of the file is not seen.
UNKNOWN_BYTES = -1

FILES = pa.schema(
    [
        pa.field("path", pa.string()),  # below the images' folder
        # An empty text where the listing says nothing of it.
        pa.field("label", pa.string()),
        pa.field("group", pa.string()),
        pa.field("split", pa.string()),
        pa.field("size_bytes", pa.int64()),  # or UNKNOWN_BYTES
        pa.field("modified", pa.float64()),  # seconds since 1970; 0 where it is not known
    ]
)
_DEFAULTS = {
    pa.string(): arrow.string_array([""]),
    pa.int64(): arrow.number_array([UNKNOWN_BYTES], pa.int64()),
    pa.float64(): arrow.number_array([0.0], pa.float64()),
}


class Listing(NamedTuple):
    files: pa.Table  # FILES
    has_labels: bool  # whether it could say of an image what its label is
    ignored: dict[str, int]  # number of files by an ending that is not an image's
    non_utf8_files: list[
        FileInfo
    ]  # images whose names are not UTF-8, and fit into no column of text


def list_images(root: str, table_url: Optional[str], suffixes: Sequence[str]) -> Listing:
    """List what the table at the URL `table` names or, where there is none, what is below `root`.

    Raises:
        InputError: as `of_table` and `of_folder`.
    """
    return (
        list_folder(root, suffixes)
        if table_url is None
        else list_table(storage.normalise_url(table_url))
    )


def list_folder(root: str, suffixes: Sequence[str]) -> Listing:
    """List the images below `root` by the endings of their names.

    Raises:
        InputError: there is no such folder, or there are no images in it.
    """
    try:
        files = storage.list_files(root)
    except FileNotFoundError:
        raise InputError(f"{root}: no such folder; check paths.images or --input") from None
    except NotADirectoryError:
        raise InputError(f"{root}: is a file; paths.images must be a folder of images") from None
    wanted = {suffix.lower().lstrip(".") for suffix in suffixes}
    images: list[FileInfo] = []
    not_text: list[FileInfo] = []
    ignored: CounterOf[str] = Counter()
    for file in files:
        name = file.path.rpartition("/")[2]
        suffix = name.rpartition(".")[2] if "." in name else ""
        if suffix.lower() not in wanted:
            ignored[f".{suffix}" if suffix else "no ending"] += 1
        elif _is_utf8(file.path):
            images.append(file)
        else:
            not_text.append(file)
    if not images and not not_text:
        raise InputError(
            f"{root}: no images among {len(files)} files; looked, at any depth, for files that "
            f"end in {', '.join(sorted(wanted))} (preprocess.suffixes)"
        )
    table = pa.table(
        {
            "path": arrow.chunked_string_array(file.path for file in images),
            "size_bytes": arrow.number_array([file.size_bytes for file in images], pa.int64()),
            "modified": arrow.number_array([file.modified for file in images], pa.float64()),
        }
    )
    return Listing(_fill_columns(root, table), False, dict(ignored), not_text)


def _is_utf8(path: str) -> bool:
    try:
        path.encode()
    except UnicodeEncodeError:
        return False
    return True


def list_table(url: str) -> Listing:
    """Read a Parquet or CSV file with a column `path`, and others if they are known.

    `path` is below the images' folder. `label`, `group` and `split` are taken instead of what the
    config's patterns would find; `size_bytes` and `modified` (seconds since 1970) let a later run
    see a change.

    Raises:
        InputError: no such file, not such a table, no rows, or a path twice.
    """
    table = _read_table(url)
    if "path" not in table.column_names:
        raise InputError(
            f"{url}: has no column path; it has {', '.join(table.column_names)}, and may have "
            f"{', '.join(FILES.names)}"
        )
    files = _fill_columns(url, table)
    _check_paths(url, table["path"], files["path"])
    return Listing(files, "label" in table.column_names, {}, [])


def _read_table(url: str) -> pa.Table:
    try:
        if url.lower().endswith(".parquet"):
            return storage.read_table(url)
        as_text = {name: pa.string() for name in ("path", "label", "group", "split")}
        options = csv.ConvertOptions(column_types=as_text, strings_can_be_null=True)
        return csv.read_csv(io.BytesIO(storage.read_bytes(url)), convert_options=options)
    except FileNotFoundError:
        raise InputError(f"{url}: no such file; check preprocess.catalogue") from None
    except pa.ArrowException as error:
        raise InputError(f"{url}: neither Parquet nor CSV: {error}") from None


def _fill_columns(source: str, table: pa.Table) -> pa.Table:
    """Return FILES: the table's columns where it has them, and nothing in the others."""
    return pa.table([_column_or_default(source, table, field) for field in FILES], schema=FILES)


def _column_or_default(source: str, table: pa.Table, field: pa.Field) -> Column:
    none = _DEFAULTS[field.type]
    if field.name not in table.column_names:
        return arrow.repeat_value(none, table.num_rows)
    try:
        # A whole number may come as a float, where other rows have none.
        return pc.fill_null(pc.cast(table[field.name], field.type, safe=False), none[0])
    except pa.ArrowException as error:
        raise InputError(f"{source}: column {field.name} must be {field.type}: {error}") from None


def _check_paths(url: str, given: pa.ChunkedArray, paths: pa.ChunkedArray) -> None:
    if not len(paths):
        raise InputError(f"{url}: names no images")
    if given.null_count:
        row = given.is_null().to_pylist().index(True)
        raise InputError(f"{url}: row {row + 1} has no path")
    if len(pc.unique(paths)) < len(paths):
        counts = pc.value_counts(paths)
        twice = [one["values"] for one in counts.to_pylist() if one["counts"] > 1]
        raise InputError(f"{url}: names {len(twice)} paths more than once, such as {twice[0]}")
