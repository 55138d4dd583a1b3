"""List the images that a Parquet or CSV file names."""

from __future__ import annotations

import io

import pyarrow as pa
import pyarrow.compute as pc
from pyarrow import csv

from halftone import storage
from halftone.dataset import schema
from halftone.errors import InputError
from halftone.preprocess.listed_files import FILES, Listing, fill_columns


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
    files = fill_columns(url, table)
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


def _check_paths(url: str, raw_paths: pa.ChunkedArray, paths: pa.ChunkedArray) -> None:
    """Check that there are paths, that none is null in the table and that none occurs twice."""
    if not len(paths):
        raise InputError(f"{url}: names no images")
    if raw_paths.null_count:
        row = raw_paths.is_null().to_pylist().index(True)
        raise InputError(f"{url}: row {row + 1} has no path")
    if len(pc.unique(paths)) < len(paths):
        counts = pc.value_counts(paths).to_pylist()
        repeated = [count["values"] for count in counts if count["counts"] > 1]
        raise InputError(
            f"{url}: names {len(repeated)} paths more than once, such as {repeated[0]}"
        )
