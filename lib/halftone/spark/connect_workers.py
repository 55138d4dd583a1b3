"""Prepare the Python workers of a Spark Connect server: they need the package `halftone`.

The packages that it imports must be installed there, in the versions that this process has, because
another version of a decoder gives other pixels.
"""

from __future__ import annotations

import tempfile
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, cast

import pyarrow as pa
from pyspark.errors import PySparkException
from pyspark.sql import SparkSession

from halftone.errors import InputError, RunError
from halftone.spark.actions import ActionProgress, collect_rows
from halftone.spark.connect import first_line
from halftone.spark.frames import map_tables
from halftone.spark.package_zip import write_package_zip
from halftone.system.machine import package_versions

_PACKAGES = ("numpy", "opencv-python-headless", "pillow", "pyarrow", "simplejpeg")
_VERSIONS = pa.schema([pa.field("package", pa.string()), pa.field("version", pa.string())])
_CURE = (
    "install the packages of requirements.txt where the server's Python workers run "
    "(docs/how-to/cluster.md, Spark Connect)"
)
_prepared_sessions: set[str] = set()


def prepare_workers(session: SparkSession) -> None:
    """Send the package `halftone` to the workers of a session, once, and check them.

    This takes one job, which starts the workers.

    Raises:
        InputError: the server does not accept the package, or its workers have another Python or
            other packages than this process.
    """
    key = str(cast(Any, session).session_id)
    if key in _prepared_sessions:
        return
    with tempfile.TemporaryDirectory(prefix="halftone-") as folder:
        try:
            session.addArtifacts(str(write_package_zip(Path(folder))), pyfile=True)
        except PySparkException as error:
            raise InputError(
                f"the Spark Connect server does not accept the package: {first_line(error)}"
            ) from error
    check_versions(package_versions(_PACKAGES), _read_versions(session))
    _prepared_sessions.add(key)


def check_versions(here: Mapping[str, str], on_workers: Mapping[str, str]) -> None:
    """Check that workers have the versions of this process.

    Raises:
        InputError: they do not.
    """
    for name, version in here.items():
        other = on_workers.get(name)
        if other != version:
            found = f"have {name} {other}" if other else f"have no {name}"
            raise InputError(
                f"the Spark Connect server's workers {found}, but this process has {version}; "
                f"{_CURE}"
            )


def _read_versions(session: SparkSession) -> dict[str, str]:
    """Ask one worker; an executor is a copy of any other on the services that offer Connect."""
    frame = map_tables(session.range(0, 1, 1, 1), _list_versions, _VERSIONS)
    try:
        rows = collect_rows(frame, ActionProgress("check", "check the workers"))
    except RunError as error:  # another Python, or without pyarrow
        found = str(error).partition("; finished work")[0]
        raise InputError(f"the Spark Connect server's workers: {found}; {_CURE}") from error
    return {row.package: row.version for row in rows}


def _list_versions(tables: Iterator[pa.Table]) -> Iterator[pa.Table]:
    versions = package_versions(_PACKAGES)
    yield pa.table([list(versions), list(versions.values())], schema=_VERSIONS)
