"""Files of the images that are new or have changed."""

from __future__ import annotations

from pathlib import Path

from hypothesis import given
from hypothesis import strategies as st

from halftone import arrow, storage
from halftone.preprocess import change_files
from halftone.preprocess.change_files import CHANGES, TOTALS, ChangeTotal
from halftone.preprocess.row_hashes import hash_values, sum_hashes
from halftone.spark.frames import url_table
from tables import table


def image(key: str, change: str, file: int = -1, row: int = -1) -> tuple[object, ...]:
    return (key, "path", "dog", 2, 1, 1.0, 7, "", "", "", "", file, row, change)


IMAGES = [
    image("c", "gone row", 2, 8),
    image("b", "new"),
    image("a", "gone row", 2, 9),
    image("d", "listed conflict", 5, 0),
]


def totals(folder: str, *images: tuple[object, ...]) -> dict[str, ChangeTotal]:
    written = list(change_files.write_changes(folder, [table(CHANGES, *images)]))
    rows = [row for table in written for row in arrow.iter_rows(table, *TOTALS.names)]
    assert change_files.list_urls(rows) == [f"{folder}/part-000000.parquet"]
    return change_files.merge_totals(rows)


def test_images_are_written_and_counted_by_change(tmp_path: Path) -> None:
    by_change = totals(str(tmp_path), *IMAGES)
    assert storage.read_table(str(tmp_path / "part-000000.parquet")) == table(CHANGES, *IMAGES)
    assert {change: (total.num_images, total.first) for change, total in by_change.items()} == {
        "gone row": (2, (2, 8, "c")),
        "listed conflict": (1, (5, 0, "d")),
        "new": (1, (-1, -1, "b")),
    }
    labels = {change: total.label_digest for change, total in by_change.items()}
    assert labels == {
        "gone row": 0,
        "new": 0,
        "listed conflict": hash_values(("d", "dog")),
    }


def test_no_images_make_no_file(tmp_path: Path) -> None:
    assert list(change_files.write_changes(str(tmp_path), [table(CHANGES)])) == []
    assert list(change_files.write_changes(str(tmp_path), [])) == []
    assert list(tmp_path.iterdir()) == []


def test_totals_of_parts_add_up_to_those_of_all(tmp_path: Path) -> None:
    first, second = totals(str(tmp_path), *IMAGES[:2]), totals(str(tmp_path), *IMAGES[2:])
    total = totals(str(tmp_path), *IMAGES)["gone row"]
    assert first["gone row"].add(second["gone row"]) == total
    assert second["gone row"].add(first["gone row"]) == total
    assert ChangeTotal().add(total) == total


def test_images_are_selected_by_change(tmp_path: Path) -> None:
    totals(str(tmp_path), *IMAGES)
    urls = url_table([f"{tmp_path}/part-000000.parquet"])
    (found,) = change_files.read_changes(["new", "gone row"], ["key", "change"], [urls])
    assert found.to_pydict() == {"key": ["c", "b", "a"], "change": ["gone row", "new", "gone row"]}


ROWS = st.lists(st.tuples(st.text(), st.integers(-(2**63), 2**63 - 1), st.floats(0, 1e12)))


@given(ROWS, st.randoms())
def test_the_sum_of_hashes_has_no_order(rows: list[tuple[object, ...]], random: object) -> None:
    total = sum_hashes(rows)
    shuffled = rows.copy()
    random.shuffle(shuffled)  # type: ignore[attr-defined]
    assert sum_hashes(shuffled) == total
    assert 0 <= total < 2**128
    assert sum_hashes([*rows, ("one more", 1, 1.0)]) != total


HASH = "fbf162cdab076791e3ed20588a45ad36"


def test_the_hash_is_the_same_everywhere() -> None:
    assert f"{hash_values(('/i/1.png', 'ü')):032x}" == HASH
