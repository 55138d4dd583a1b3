from __future__ import annotations

import sqlite3
from pathlib import Path

import pytest

from halftone.tracking import mlflow_store


@pytest.fixture(autouse=True)
def no_client(monkeypatch: pytest.MonkeyPatch) -> None:
    """Errors must be found before MLflow opens the store, because it retries for minutes."""
    monkeypatch.setattr(mlflow_store, "MlflowClient", lambda uri: pytest.fail("MLflow was called"))


def test_file_that_is_no_database_is_refused_without_retries(tmp_path: Path) -> None:
    (tmp_path / "mlflow.db").write_text("not a database" * 100)
    with pytest.raises(sqlite3.DatabaseError, match="file is not a database"):
        mlflow_store.connect(f"sqlite:///{tmp_path}/mlflow.db")


def test_path_that_cannot_be_created_is_refused_without_retries(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(FileExistsError, match="file"):
        mlflow_store.connect(f"sqlite:///{tmp_path}/file/mlflow.db")
