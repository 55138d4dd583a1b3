"""MLflow tracking stores: SQLite files, experiments, and locations of artifacts."""

from __future__ import annotations

import os
import sqlite3
import tempfile
from contextlib import closing, suppress
from pathlib import Path
from typing import Optional

from mlflow import MlflowClient
from mlflow.exceptions import MlflowException

from halftone import logs
from halftone.tracking.tracking import SQLITE_PREFIX, sqlite_path, sqlite_uri


def connect(uri: str) -> MlflowClient:
    """Return a client of the store at `uri`. An SQLite file is created if it does not exist."""
    if uri.startswith(SQLITE_PREFIX):
        _create_database(uri)
    default_folder = Path("mlruns")
    existed = default_folder.exists()
    client = MlflowClient(uri)
    if not existed:
        # MLflow creates the folder but stores nothing in it: artifacts go elsewhere.
        with suppress(OSError):
            default_folder.rmdir()
    return client


def store_exists(uri: str) -> bool:
    """Return whether the SQLite file of `uri` exists; True for other stores."""
    return not uri.startswith(SQLITE_PREFIX) or _database_path(uri).exists()


def get_or_create_experiment(client: MlflowClient, uri: str, name: str) -> str:
    """Return the id of the experiment with this name; create it if it does not exist."""
    experiment = client.get_experiment_by_name(name)
    if experiment is not None:
        return str(experiment.experiment_id)
    try:
        return client.create_experiment(name, _artifact_location(uri))
    except MlflowException as error:
        if error.error_code != "RESOURCE_ALREADY_EXISTS":
            raise
        return get_or_create_experiment(client, uri, name)  # a concurrent training created it


def _create_database(uri: str) -> None:
    """Create the SQLite file of `uri` if it does not exist.

    The file is created under a temporary name and then linked, so that concurrent trainings never
    see a database with only some of its tables.

    Raises:
        sqlite3.Error: the file exists and is not an SQLite database.
    """
    path = _database_path(uri)
    if path.exists():
        with closing(sqlite3.connect(path)) as database:
            database.execute("PRAGMA schema_version")  # fail now: MLflow would retry for minutes
        return
    from mlflow.store.tracking.sqlalchemy_store import SqlAlchemyStore  # takes a second

    path.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=path.parent, prefix=".mlflow-") as folder:
        temporary = Path(folder, path.name)
        with logs.keep_handlers():
            store = SqlAlchemyStore(sqlite_uri(str(temporary)), _artifact_location(uri))  # type: ignore[no-untyped-call]
        store.engine.dispose()
        # It exists by now, or the file system has no links: then MLflow creates it in place.
        with suppress(OSError):
            os.link(temporary, path)


def _database_path(uri: str) -> Path:
    return Path(sqlite_path(uri))


def _artifact_location(uri: str) -> Optional[str]:
    """Return where a new experiment stores files: beside SQLite's; None lets a server decide."""
    return (
        (_database_path(uri).parent / "mlartifacts").as_uri()
        if uri.startswith(SQLITE_PREFIX)
        else None
    )
