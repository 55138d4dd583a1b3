"""The store in which MLflow keeps runs: its SQLite file, its experiments, and where files go."""

from __future__ import annotations

import os
import sqlite3
import tempfile
from contextlib import closing, suppress
from pathlib import Path
from typing import Optional

from mlflow import MlflowClient
from mlflow.exceptions import MlflowException

from halftone.tracking.tracking import SQLITE_PREFIX


def connect(uri: str) -> MlflowClient:
    """Return a client of the store at `uri`; a file of SQLite is made where there is none."""
    if uri.startswith(SQLITE_PREFIX):
        _create_database(uri)
    litter = Path("mlruns")
    is_ours = not litter.exists()
    client = MlflowClient(uri)
    if is_ours:
        with suppress(OSError):  # MLflow makes it, and leaves it empty, as files go elsewhere
            litter.rmdir()
    return client


def store_exists(uri: str) -> bool:
    """Whether there is a store at `uri`, as far as it is a file of SQLite."""
    return not uri.startswith(SQLITE_PREFIX) or _database_path(uri).exists()


def get_or_create_experiment(client: MlflowClient, uri: str, name: str) -> str:
    """Find the experiment of that name, or make it."""
    found = client.get_experiment_by_name(name)
    if found is not None:
        return str(found.experiment_id)
    try:
        return client.create_experiment(name, _artifact_location(uri))
    except MlflowException as error:
        if error.error_code != "RESOURCE_ALREADY_EXISTS":
            raise
        return get_or_create_experiment(client, uri, name)  # another training has made it just now


def _create_database(uri: str) -> None:
    """Make the SQLite file of `uri` where there is none. Raises sqlite3.Error where it is no such.

    It is made aside and then linked: of two trainings that begin at once, and both find nothing,
    one would else come upon the other's half of the tables.
    """
    path = _database_path(uri)
    if path.exists():
        with closing(sqlite3.connect(path)) as database:
            database.execute("PRAGMA schema_version")  # MLflow would try again for minutes
        return
    from mlflow.store.tracking.sqlalchemy_store import SqlAlchemyStore  # a second, if needed

    path.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=path.parent, prefix=".mlflow-") as folder:
        made = Path(folder, path.name)
        store = SqlAlchemyStore(f"{SQLITE_PREFIX}{made}", _artifact_location(uri))  # type: ignore[no-untyped-call]
        store.engine.dispose()
        with suppress(OSError):  # there by now; or no links here, and MLflow makes it in place
            os.link(made, path)


def _database_path(uri: str) -> Path:
    return Path(uri[len(SQLITE_PREFIX) :].partition("?")[0])


def _artifact_location(uri: str) -> Optional[str]:
    """Where the files of a new experiment go: beside SQLite's; None where a server decides."""
    return (
        (_database_path(uri).parent / "mlartifacts").as_uri()
        if uri.startswith(SQLITE_PREFIX)
        else None
    )
