"""What becomes of images with the same bytes, as a worker decides it; no Spark."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from halftone import arrow
from halftone.preprocess.candidates import CANDIDATES, DUPLICATES, MOVED, NEW, ROWS
from halftone.preprocess.duplicates import resolve_partition, write_notes
from halftone.preprocess.row_notes import DROPPED, GONE, keep_mask, read_notes
from tables import digest, table

SMALL, LARGE = 100, 100_000  # bytes; the digest of a large file does not cover all of it
COPY_OF, BOTH = "duplicate", "conflict"


def candidate(
    key: str, label: str, name: str, kind: int = NEW, size: int = SMALL, gone: int = 0
) -> tuple[object, ...]:
    """A row of CANDIDATES; images with the same `name` have the same digest."""
    split = -1 if kind == DUPLICATES else 0
    return (digest(name), kind, key, label, split, size, 1.5, 0, kind, len(key), gone)


def resolve(
    *images: tuple[object, ...], batch_rows: int = 100
) -> tuple[dict[str, tuple[str, str]], dict[str, int]]:
    """Return status and detail of the images that are left out, and the rows that stay by label."""
    whole = table(CANDIDATES, *sorted(images))
    batches = [whole.slice(start, batch_rows) for start in range(0, len(images), batch_rows)]
    rows = [row for part in resolve_partition(iter(batches)) for row in part.to_pylist()]
    left_out = {row["key"]: (row["status"], row["detail"]) for row in rows if row["source"] >= 0}
    return left_out, {row["label"]: row["row"] for row in rows if row["source"] < 0}


def test_equal_images_with_one_label_are_duplicates_of_the_first_by_path() -> None:
    images = [candidate(key, "cat", name) for key, name in (("b", "x"), ("a", "x"), ("c", "y"))]
    assert resolve(*images) == ({"b": (COPY_OF, "a")}, {"cat": 2})


def test_an_old_row_is_kept_rather_than_a_new_image() -> None:
    images = [candidate("z", "cat", "x", ROWS), candidate("a", "cat", "x")]
    assert resolve(*images) == ({"a": (COPY_OF, "z")}, {"cat": 1})


def test_an_old_duplicate_is_kept_rather_than_a_new_image() -> None:
    images = [candidate("z", "cat", "x", DUPLICATES), candidate("a", "cat", "x")]
    assert resolve(*images) == ({"a": (COPY_OF, "z")}, {})


def test_equal_images_with_two_labels_are_all_conflicts() -> None:
    images = [
        candidate("old", "cat", "x", ROWS),
        candidate("new", "dog", "x"),
        candidate("third", "cat", "x"),
    ]
    assert resolve(*images) == (
        {
            "old": (BOTH, "label 'cat', but new has the same bytes and label 'dog'"),
            "new": (BOTH, "label 'dog', but old has the same bytes and label 'cat'"),
            "third": (BOTH, "label 'cat', but new has the same bytes and label 'dog'"),
        },
        {},
    )


def test_a_file_that_is_gone_does_not_conflict_but_is_a_copy_of_the_one_that_exists() -> None:
    old = candidate("old", "cat", "x", ROWS, gone=1)
    assert resolve(old, candidate("new", "dog", "x")) == ({"old": (COPY_OF, "new")}, {"dog": 1})
    # With the same label the row stays, as nothing has to be written.
    assert resolve(old, candidate("new", "cat", "x")) == ({"new": (COPY_OF, "old")}, {"cat": 1})


def test_files_that_exist_still_conflict_beside_one_that_is_gone() -> None:
    old = candidate("old", "cat", "x", ROWS, gone=1)
    left_out, _ = resolve(old, candidate("a", "dog", "x"), candidate("b", "cat", "x"))
    assert {key: status for key, (status, _) in left_out.items()} == {
        "old": BOTH,
        "a": BOTH,
        "b": BOTH,
    }


def test_a_moved_row_is_compared_with_its_copies() -> None:
    copy = candidate("copy", "cat", "x", DUPLICATES)
    # Only the split has changed.
    row = candidate("row", "cat", "x", MOVED)
    assert resolve(row, copy) == ({"copy": (COPY_OF, "row")}, {"cat": 1})
    # A copy that is gone keeps its label, and does not conflict.
    row, copy = (
        candidate("row", "dog", "x", MOVED),
        candidate("copy", "cat", "x", DUPLICATES, gone=1),
    )
    assert resolve(row, copy) == ({"copy": (COPY_OF, "row")}, {"dog": 1})
    left_out, counts = resolve(row, copy, candidate("new", "cat", "x"))
    assert (set(left_out), counts) == ({"row", "new", "copy"}, {})


def test_equal_old_rows_are_not_resolved_again() -> None:
    images = [candidate("a", "cat", "x", ROWS), candidate("b", "cat", "x", ROWS)]
    assert resolve(*images, candidate("c", "cat", "y")) == ({}, {"cat": 3})


def large_files(folder: Path, contents: dict[str, bytes]) -> list[tuple[object, ...]]:
    for name, data in contents.items():
        (folder / name).write_bytes(data)
    return [candidate(str(folder / name), "cat", "x", size=LARGE) for name in contents]


def test_large_files_with_equal_digests_are_read(tmp_path: Path) -> None:
    images = large_files(tmp_path, {"a": b"one", "b": b"two", "c": b"one"})
    a, c = (str(tmp_path / name) for name in "ac")
    assert resolve(*images) == ({c: (COPY_OF, a)}, {"cat": 2})
    # Files that can no longer be read are equal to none.
    (tmp_path / "a").unlink()
    (tmp_path / "c").unlink()
    assert resolve(*images) == ({}, {"cat": 3})


def test_a_large_file_that_is_gone_is_equal_to_those_that_exist_if_these_are_equal(
    tmp_path: Path,
) -> None:
    old = candidate("old", "dog", "x", ROWS, size=LARGE, gone=1)
    equal = large_files(tmp_path, {"a": b"one", "b": b"one"})
    a, b = (str(tmp_path / name) for name in "ab")
    assert resolve(old, *equal) == ({"old": (COPY_OF, a), b: (COPY_OF, a)}, {"cat": 1})
    different = large_files(tmp_path, {"a": b"one", "b": b"two"})
    assert resolve(old, *different) == ({}, {"cat": 2, "dog": 1})
    # One file alone needs not be read.
    assert resolve(old, candidate("nowhere", "cat", "x", size=LARGE)) == (
        {"old": (COPY_OF, "nowhere")},
        {"cat": 1},
    )


images_strategy = st.lists(
    st.tuples(
        st.sampled_from("ab"), st.sampled_from("xyz"), st.sampled_from([ROWS, DUPLICATES, NEW])
    ),
    max_size=30,
)


@given(images_strategy, st.integers(1, 7))
def test_the_batches_of_a_partition_make_no_difference(
    images: Sequence[tuple[str, str, int]], batch_rows: int
) -> None:
    candidates = [
        candidate(f"{number:03d}", label, name, kind)
        for number, (label, name, kind) in enumerate(images)
    ]
    left_out, counts = resolve(*candidates, batch_rows=batch_rows)
    assert (left_out, counts) == resolve(*candidates)
    num_rows = sum(kind != DUPLICATES for *_, kind in images)
    lost_rows = [key for key in left_out if images[int(key)][2] != DUPLICATES]
    assert sum(counts.values()) == num_rows - len(lost_rows)


def test_notes_are_written_for_each_source_file(tmp_path: Path) -> None:
    left_out = pa.table({"source": pa.array([3, 3, 8], pa.int32()), "row": [0, 2, 5]})
    write_notes(str(tmp_path), left_out)
    assert sorted(path.name for path in tmp_path.iterdir()) == [
        "notes-000003.parquet",
        "notes-000008.parquet",
    ]
    urls = [str(tmp_path / "notes-000003.parquet")]
    assert keep_mask(4, urls).tolist() == [False, True, False, True]
    assert read_notes(urls, DROPPED)["row"].to_pylist() == [0, 2]
    assert read_notes(urls, GONE).num_rows == 0


@pytest.mark.parametrize("rows", [0, 3])
def test_a_partition_may_be_empty(rows: int) -> None:
    images = [candidate(f"{n}", "cat", f"{n}") for n in range(rows)]
    assert resolve(*images) == ({}, {"cat": rows} if rows else {})
    assert arrow.empty_table(CANDIDATES).num_rows == 0
