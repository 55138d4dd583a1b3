"""Rows of the prediction files that exist."""

from __future__ import annotations

from pathlib import Path

import pytest

from halftone.storage import written_rows
from halftone.storage.written_rows import WrittenRows


def test_rows_of_existing_files_are_counted(tmp_path: Path) -> None:
    files = {f"{tmp_path}/{name}": rows for name, rows in (("a/x", 5), ("a/y", 7), ("b/x", 100))}
    written = WrittenRows(files)
    assert written.count() == 0
    for folder in ("a", "b"):
        (tmp_path / folder).mkdir()
    for name in ("a/x", "b/x", "b/y"):
        (tmp_path / name).touch()
    assert WrittenRows(files).count() == 105


def test_files_are_not_listed_all_the_time(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    clock = [100.0]
    names: list[str] = []

    def list_names(_: str) -> list[str]:
        clock[0] += 1  # the listing takes a second
        return names

    monkeypatch.setattr(written_rows.time, "monotonic", lambda: clock[0])
    monkeypatch.setattr(written_rows, "list_names", list_names)
    written = WrittenRows({f"{tmp_path}/x": 5})
    assert written.count() == 0
    names.append("x")
    clock[0] += 19
    assert written.count() == 0
    clock[0] += 1
    assert written.count() == 5
