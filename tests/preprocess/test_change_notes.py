"""Notes on the rows of the previous version's files."""

from __future__ import annotations

from pathlib import Path

from halftone import arrow, storage
from halftone.preprocess import change_notes
from halftone.preprocess.change_files import CHANGES
from halftone.preprocess.change_notes import FILE_NOTES
from halftone.preprocess.row_notes import ROW_NOTES
from halftone.spark.frames import url_table
from tables import table


def image(file: int, row: int, change: str) -> tuple[object, ...]:
    return ("key", "path", "dog", 2, 1, 1.0, 7, "", "", "", "", file, row, change)


def test_changes_give_notes(tmp_path: Path) -> None:
    url = str(tmp_path / "changes.parquet")
    images = [
        image(0, 3, "read again"),
        image(0, 1, "relabelled"),
        image(4, 2, "gone row"),
        image(-1, -1, "new"),
        image(4, 0, "removed"),
    ]
    storage.write_table(url, table(CHANGES, *images))
    notes = {
        "read again": "dropped",
        "removed": "dropped",
        "relabelled": "moved",
        "gone row": "gone",
    }
    found = list(change_notes.find_notes(notes, [url_table([url])]))
    assert all(table.schema == FILE_NOTES for table in found)
    rows = [row for table in found for row in arrow.iter_rows(table, *FILE_NOTES.names)]
    assert sorted(rows) == [
        (0, 1, "moved", "dog", 2),
        (0, 3, "dropped", "", -1),
        (4, 0, "dropped", "", -1),
        (4, 2, "gone", "", -1),
    ]


def test_the_notes_of_a_file_may_come_in_several_tables(tmp_path: Path) -> None:
    dropped, moved, gone = ("dropped", "", -1), ("moved", "dog", 2), ("gone", "", -1)
    tables = [
        table(FILE_NOTES, (0, 1, *dropped), (2, 5, *moved)),
        table(FILE_NOTES),
        table(FILE_NOTES, (2, 6, *moved), (2, 8, *gone)),
        table(FILE_NOTES, (7, 0, *gone)),
    ]
    counts = list(change_notes.write_notes(str(tmp_path), tables))
    urls = {file: f"{tmp_path}/{file:06d}.parquet" for file in (0, 2, 7)}
    assert [row for table in counts for row in arrow.iter_rows(table, *table.column_names)] == [
        (0, urls[0], 1, 0, 0),
        (2, urls[2], 0, 2, 1),
        (7, urls[7], 0, 0, 1),
    ]
    notes = {file: storage.read_table(url) for file, url in urls.items()}
    assert all(table.schema == ROW_NOTES for table in notes.values())
    assert list(arrow.iter_rows(notes[2], *ROW_NOTES.names)) == [
        (5, *moved),
        (6, *moved),
        (8, *gone),
    ]
    assert list(change_notes.write_notes(str(tmp_path), [table(FILE_NOTES)])) == []
