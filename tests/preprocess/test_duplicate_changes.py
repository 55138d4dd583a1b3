"""Duplicates whose kept row has changed."""

from __future__ import annotations

from pathlib import Path
from typing import Optional

import pytest

from halftone import arrow, storage
from halftone.preprocess import duplicate_changes
from halftone.preprocess.change_files import CHANGES
from halftone.spark.frames import url_table
from tables import table


def image(key: str, change: str, kept_key: str = "") -> tuple[object, ...]:
    return (key, key, "cat", 0, 1, 1.0, 7, "", "", "", kept_key, 2, 5, change)


@pytest.mark.parametrize(
    ("kept", "listed", "gone"),
    [
        ("read again", "read again", "removed"),
        ("conflict read again", "read again", "removed"),
        ("no longer usable", "read again", "removed"),
        ("removed", "read again", "removed"),
        ("relabelled", "read again", "retained duplicate"),
        # These do not touch duplicates.
        ("moved to split", None, "retained duplicate"),
        ("gone row", None, "retained duplicate"),
        ("new", None, "retained duplicate"),
        ("rejected again", None, "retained duplicate"),
    ],
)
def test_a_duplicate_follows_the_row_that_was_kept(
    tmp_path: Path, kept: str, listed: Optional[str], gone: str
) -> None:
    url = str(tmp_path / "changes.parquet")
    images = [
        image("listed", "listed duplicate", "row"),
        image("lost", "gone duplicate", "row"),
        image("row", kept),
        image("other", "read again"),
    ]
    storage.write_table(url, table(CHANGES, *images))
    found = duplicate_changes.find_dependent([url_table([url])])
    decided = [
        row
        for changes in duplicate_changes.decide_duplicates(found)
        for row in arrow.iter_rows(changes, *CHANGES.names)
    ]
    expected = [image("lost", gone, "row")]
    if listed is not None:
        expected.append(image("listed", listed, "row"))
    assert sorted(decided) == sorted(expected)


def test_duplicates_and_changed_rows_meet_at_the_key_of_the_row(tmp_path: Path) -> None:
    url = str(tmp_path / "changes.parquet")
    images = [image("copy", "listed duplicate", "row"), image("row", "read again", "older")]
    storage.write_table(url, table(CHANGES, *images, image("new", "new")))
    found = list(duplicate_changes.find_dependent([url_table([url])]))
    rows = [row for table in found for row in arrow.iter_rows(table, "key", "row_key")]
    assert rows == [("copy", "row"), ("row", "row")]
