"""Readers of Delta tables that know nothing of Halftone: delta-rs, DuckDB and Polars."""

from __future__ import annotations

import os
from collections.abc import Mapping
from functools import cache
from pathlib import Path
from typing import Any, Callable, Optional

import deltalake
import duckdb
import duckdb_extension_delta
import duckdb_extension_httpfs
import polars

# Rows as tuples of some columns, in order. Of the newest version if none is given.
Reader = Callable[..., list[tuple[Any, ...]]]


def read_by_deltalake(
    url: str, columns: str, version: Optional[int] = None, options: Optional[S3Options] = None
) -> list[tuple[Any, ...]]:
    table = deltalake.DeltaTable(url, version, storage_options=_settings(options))
    query = deltalake.QueryBuilder().register("t", table)
    # pyarrow 10 does not take Arrow data of other packages; Polars only turns them into tuples.
    found: Any = polars.DataFrame(query.execute(f"select {columns} from t").read_all())
    return sorted(found.rows())


def read_by_duckdb(
    url: str, columns: str, version: Optional[int] = None, options: Optional[S3Options] = None
) -> list[tuple[Any, ...]]:
    with duckdb.connect() as connection:
        for package in (duckdb_extension_httpfs, duckdb_extension_delta):
            connection.execute(f"load '{_extension(package)}'")
        if options is not None:
            connection.execute(
                f"create secret (type s3, key_id '{options['key']}', secret '{options['secret']}', "
                f"region '{options['region']}', endpoint '{options['host']}', use_ssl false, "
                "url_style 'path')"
            )
        at = "" if version is None else f", version {version}"
        connection.execute(f"attach '{url}' as t (type delta{at})")
        return sorted(connection.execute(f"select {columns} from t").fetchall())


def read_by_polars(
    url: str, columns: str, version: Optional[int] = None, options: Optional[S3Options] = None
) -> list[tuple[Any, ...]]:
    frame = polars.scan_delta(url, version=version, storage_options=_settings(options))
    return sorted(frame.select(columns.split(", ")).collect().rows())


READERS: dict[str, Reader] = {
    "deltalake": read_by_deltalake,
    "duckdb": read_by_duckdb,
    "polars": read_by_polars,
}
# key, secret, region and host
S3Options = Mapping[str, str]


def _settings(options: Optional[S3Options]) -> Optional[dict[str, str]]:
    if options is None:
        return None
    return {
        "AWS_ENDPOINT_URL": f"http://{options['host']}",
        "AWS_ALLOW_HTTP": "true",
        "AWS_ACCESS_KEY_ID": options["key"],
        "AWS_SECRET_ACCESS_KEY": options["secret"],
        "AWS_REGION": options["region"],
    }


@cache
def _extension(package: Any) -> Path:
    """Return the file of a DuckDB extension, which DuckDB would download otherwise."""
    name = package.__name__.removeprefix("duckdb_extension_")
    folder = Path(os.path.dirname(package.__file__)) / "extensions" / f"v{duckdb.__version__}"
    return folder / f"{name}.duckdb_extension"
