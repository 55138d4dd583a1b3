from __future__ import annotations

import sqlite3
import time
from pathlib import Path

import pytest

from halftone.tracking import mlflow_store


def test_a_file_that_is_no_database_is_told_at_once(tmp_path: Path) -> None:
    (tmp_path / "mlflow.db").write_text("not a database" * 100)
    started = time.monotonic()
    with pytest.raises(sqlite3.DatabaseError, match="file is not a database"):
        mlflow_store.connect(f"sqlite:///{tmp_path}/mlflow.db")
    assert time.monotonic() - started < 5


def test_a_place_that_cannot_be_is_told_at_once(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(FileExistsError, match="file"):
        mlflow_store.connect(f"sqlite:///{tmp_path}/file/mlflow.db")
