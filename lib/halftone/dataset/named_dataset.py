"""A dataset that is named as a Delta table: table:NAME of Spark, or delta:// and its folder."""

from __future__ import annotations

from typing import Callable

from pyspark.sql import SparkSession

from halftone import printable, storage
from halftone.config import Config
from halftone.config.base import names_table
from halftone.dataset.manifest import MANIFEST_NAME, describe_missing
from halftone.errors import InputError
from halftone.spark.table_location import find_location
from halftone.url_schemes import TABLE_PREFIX


def with_dataset_url(config: Config, session: Callable[[], SparkSession]) -> Config:
    """Return the config with the URL of the folder as `paths.dataset`; print that of a table.

    A dataset that is given as a URL or a path stays as it is.

    Args:
        session: returns the SparkSession; called only for table:NAME.

    Raises:
        InputError: as `find_dataset`.
    """
    given = config.paths.dataset
    if given is None or not names_table(given):
        return config
    url = find_dataset(given, session)
    paths = config.paths.model_copy(update={"dataset": url})
    return config.model_copy(update={"paths": paths})


def find_dataset(given: str, session: Callable[[], SparkSession]) -> str:
    """Return the URL of a dataset that is named as a table; print that of table:NAME.

    Raises:
        InputError: Spark does not say where the table is, Halftone does not read that store, or
            there is no dataset.
    """
    if not given.startswith(TABLE_PREFIX):
        return storage.normalise_url(given)
    try:
        location = find_location(session(), given.removeprefix(TABLE_PREFIX))
    except InputError as error:
        raise InputError(f"{given}: {error}") from None
    try:
        url = storage.url_of_location(location)
    except InputError as error:
        raise InputError(f"{given}: is at a location that cannot be read: {error}") from None
    if not storage.exists(storage.join(url, MANIFEST_NAME)):
        raise InputError(f"{given}: {describe_missing(url, given)}")
    printable.print_line(f"{given}: {url}")
    return url
