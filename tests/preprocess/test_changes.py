from __future__ import annotations

import sqlite3
import tempfile
from collections.abc import Collection
from pathlib import Path
from typing import Any, NamedTuple, Optional

import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st
from pyspark.sql import SparkSession

from halftone import arrow, storage
from halftone.dataset import schema
from halftone.preprocess import changes, comparison
from halftone.preprocess.change_files import (
    CHANGES,
    TOTALS,
    read_changes,
    write_changes,
)
from halftone.preprocess.change_notes import NoteCounts
from halftone.preprocess.conflict_labels import digest_conflict_labels
from halftone.preprocess.delta import Delta
from halftone.preprocess.entries import ENTRIES, FILE, KEPT_KEY
from halftone.preprocess.row_hashes import sum_hashes
from halftone.preprocess.row_notes import ROW_NUMBER
from halftone.spark.actions import ActionProgress, collect_rows
from halftone.spark.frames import Frame, create_frame, url_table
from known_images import Known, Listed, as_entries, as_known, places
from tables import table

A, B = Listed(1, 10.0), Listed(1, 11.0)
DOG, VALIDATION = Listed(1, 10.0, "dog"), Listed(1, 10.0, "cat", 1)
BEFORE = {
    "row": Known(A, "row"),
    "copy": Known(A, "duplicate", "row"),
    "bad": Known(A, "truncated"),
    "torn": Known(A, "conflict"),
}
LABELLED = ("row", "duplicate")


def listed(**changed: Optional[Listed]) -> dict[str, Listed]:
    """The listing of the known images, with changes; None: no longer listed."""
    images = {**dict.fromkeys(BEFORE, A), **changed}
    return {key: image for key, image in images.items() if image is not None}


class Decisions(NamedTuple):
    """The keys of images."""

    read: set[str]
    moved: set[str]
    removed: set[str]
    missing: set[str]


def expected(read: str = "", removed: str = "", missing: str = "", moved: str = "") -> Decisions:
    return Decisions(*(set(names.split()) for names in (read, moved, removed, missing)))


def compare(
    now: dict[str, Listed],
    before: dict[str, Known] = BEFORE,
    unusable: str = "",
    conflict_labels: Optional[dict[str, Listed]] = None,
    **options: bool,
) -> Decisions:
    """Compare without Spark: SQLite compares pairs of images.

    Args:
        unusable: keys of images that are in the folder and cannot be read.
        conflict_labels: the labels of conflicts when they were found, by default as now.
    """
    labels = digest_labels(conflict_labels or now, before)
    entries = as_entries(now, unusable.split())
    with tempfile.TemporaryDirectory() as folder:
        pairs = table(CHANGES, *compare_pairs(entries, as_known(before), **options))
        totals = list(write_changes(storage.join(folder, "compared"), [pairs]))
        rows = [row for table in totals for row in arrow.iter_rows(table, *TOTALS.names)]
        delta = changes.decide_changes(None, rows, folder, labels)
        return read_decisions(delta, before, unusable.split())


def digest_labels(now: dict[str, Listed], before: dict[str, Known]) -> str:
    """As `digest_conflict_labels`, of the listed images that are known as conflicts."""
    conflicts = [key for key in now if key in before and before[key].status == "conflict"]
    total = sum_hashes((key, now[key].label) for key in conflicts)
    return f"{total:032x}" if conflicts else ""


def compare_pairs(
    entries: pa.Table,
    known: pa.Table,
    retry_rejects: bool = False,
    prune: bool = False,
    can_move: bool = True,
) -> list[tuple[Any, ...]]:
    """Return CHANGES as the join in Spark does."""
    listed_images = {row["key"]: row for row in entries.to_pylist()}
    known_images = {row["key"]: row for row in known.to_pylist()}
    rows = []
    for key in {**listed_images, **known_images}:
        row = dict.fromkeys([*ENTRIES.names, "status", KEPT_KEY, FILE, ROW_NUMBER])
        row.update(listed_images.get(key, {}), key=key)
        for name, value in known_images.get(key, dict.fromkeys(known.column_names)).items():
            if name != "key":
                row[f"known_{name}" if name in ENTRIES.names else name] = value
        rows.append(row)
    if not rows:
        return []
    names = list(rows[0])
    change = comparison.compare_sql(retry_rejects=retry_rejects, prune=prune, can_move=can_move)
    database = sqlite3.connect(":memory:")
    database.execute(f"CREATE TABLE images ({', '.join(f'`{name}`' for name in names)})")
    marks = ", ".join("?" * len(names))
    database.executemany(f"INSERT INTO images VALUES ({marks})", [[*row.values()] for row in rows])
    found = [row[0] for row in database.execute(f"SELECT {change} FROM images ORDER BY rowid")]
    database.close()
    absent = {pa.string(): "", pa.float64(): 0.0}
    return [
        (
            *(_value(row[f.name], absent.get(f.type, -1)) for f in CHANGES if f.name != "change"),
            name,
        )
        for row, name in zip(rows, found)
        if name is not None
    ]


def _value(value: Any, default: Any) -> Any:
    return default if value is None else value


def read_decisions(
    delta: Delta, before: dict[str, Known], unusable: Collection[str] = ()
) -> Decisions:
    """Read the files of a comparison, and check that the numbers fit."""
    keys: dict[str, list[str]] = {"dropped": [], "moved": [], "gone": []}
    for file, (url, *_) in delta.notes.items():
        for row, note in arrow.iter_rows(storage.read_table(url), "row", "note"):
            keys[note].append(places(before)[file, row])
    work = [
        row
        for images in read_changes(
            delta.work_changes, ENTRIES.names, [url_table(delta.change_urls)]
        )
        for row in images.to_pylist()
    ]
    read = [row["key"] for row in work if not row["reason"]]
    assert sorted(row["key"] for row in work if row["reason"]) == sorted(unusable)
    # What is rejected again is dropped and written again.
    again = {key for key in unusable if key in before and before[key].status not in LABELLED}
    assert again <= set(keys["dropped"])
    removed = [key for key in keys["dropped"] if key not in again]
    with_label = [key for key in before if before[key].status in LABELLED and key in keys["gone"]]
    assert delta.num_read == len(read) == len(set(read))
    assert delta.num_moved == len(keys["moved"])
    assert delta.num_removed == len(removed)
    assert delta.num_left_out == len(removed) + len(again) + len(keys["moved"])
    assert delta.num_missing == len(keys["gone"])
    assert delta.num_missing_labelled == len(with_label)
    first = min((place for place, key in places(before).items() if key in with_label), default=None)
    assert delta.missing_example == ("" if first is None else places(before)[first])
    assert delta.num_unusable == len(unusable)
    assert delta.all_unusable_known == set(unusable).issubset(before)
    assert delta.is_empty == (not any((read, removed, keys["moved"])))
    return Decisions(set(read), set(keys["moved"]), set(removed), set(keys["gone"]))


def test_nothing_changed() -> None:
    assert compare(listed()) == expected()


def test_all_images_are_new_to_an_empty_dataset() -> None:
    assert compare(listed(), {}) == expected(read="row copy bad torn")


def test_unlisted_images_are_missing() -> None:
    assert compare({}) == expected(missing="row copy bad torn")


def test_a_new_image_is_read_and_conflicts_are_resolved_again() -> None:
    assert compare(listed(new=A)) == expected(read="new torn", removed="torn")


def test_duplicates_of_a_changed_row_are_read_again() -> None:
    assert compare(listed(row=B)) == expected(read="row copy torn", removed="row copy torn")


def test_a_missing_duplicate_of_a_changed_row_is_removed() -> None:
    # No image has its bytes any more, and it cannot be read again.
    assert compare(listed(row=B, copy=None)) == expected("row torn", removed="row copy torn")


def test_another_size_is_a_change() -> None:
    assert compare(listed(bad=Listed(2, 10.0))) == expected("bad torn", removed="bad torn")


def test_a_listing_without_sizes_shows_no_changes() -> None:
    assert compare(dict.fromkeys(BEFORE, Listed(-1, 0.0))) == expected()


def test_missing_images_stay_unless_they_are_pruned() -> None:
    assert compare(listed(row=None)) == expected(missing="row")
    assert compare(listed(row=None), prune=True) == expected("copy torn", "row copy torn")


def test_images_that_became_unusable_are_removed_and_not_missing() -> None:
    decisions = compare(listed(row=None, bad=None), unusable="row bad new")
    assert decisions == expected(read="copy torn", removed="row copy torn")
    assert compare(listed(bad=None), unusable="bad") == expected()


def test_retry_rejects_reads_only_rejected_images() -> None:
    decisions = compare(listed(new=A, row=B, torn=None), retry_rejects=True)
    assert decisions == expected(read="bad", removed="bad", missing="torn")


def test_another_label_or_split_moves_a_row_and_reads_nothing_else() -> None:
    before = {**BEFORE, "other": Known(A, "row")}
    del before["copy"], before["torn"]
    for image in (DOG, VALIDATION):
        now = {"row": image, "bad": image, "other": A}
        assert compare(now, before) == expected(moved="row")
        assert compare(now, before, can_move=False) == expected("row", removed="row")


def test_copies_of_a_row_with_another_label_are_read_and_those_with_another_split_not() -> None:
    assert compare(listed(row=DOG)) == expected("copy torn", "copy torn", moved="row")
    decisions = compare(listed(row=DOG, copy=None, torn=None))
    assert decisions == expected(moved="row", missing="copy torn")
    decisions = compare(listed(row=VALIDATION, torn=None))
    assert decisions == expected(moved="row", missing="torn")
    assert compare(listed(copy=DOG)) == expected("copy torn", "copy torn")


def test_a_changed_file_with_another_label_is_read_and_not_moved() -> None:
    changed = Listed(2, 10.0, "dog")
    assert compare({"row": changed}, {"row": Known(A, "row")}) == expected("row", "row")


def test_an_image_that_gets_its_first_label_is_read() -> None:
    before = {"row": Known(A, "row"), "new": Known(A, "unlabelled")}
    assert compare({"row": A, "new": A}, before) == expected("new", "new")
    assert compare({"row": A}, before, unusable="new") == expected()


def test_conflicts_are_read_again_if_their_labels_change_or_a_file_is_gone() -> None:
    before = {name: Known(A, "conflict") for name in ("torn", "apart")}
    assert compare({"torn": A, "apart": DOG}, before) == expected()
    decisions = compare({"torn": A, "apart": A}, before, conflict_labels={"torn": A, "apart": DOG})
    assert decisions == expected("torn apart", "torn apart")
    # The conflict with a file that no longer exists ends without --prune.
    assert compare({"apart": DOG}, before) == expected("apart", "torn apart")
    assert compare({}, before) == expected(missing="torn apart")


def test_retry_rejects_moves_no_row() -> None:
    assert compare(listed(row=DOG), retry_rejects=True) == expected("bad torn", "bad torn")


def decide(
    now: dict[str, Listed],
    before: dict[str, Known],
    unusable: set[str],
    labels_before: dict[str, Listed],
    retry_rejects: bool,
    prune: bool,
) -> Decisions:
    """The rules, in terms of sets."""
    known, exists = set(before), set(now) | unusable

    def with_status(*statuses: str) -> set[str]:
        return {key for key in known if before[key].status in statuses}

    rows, duplicates, conflicts = map(with_status, ("row", "duplicate", "conflict"))
    rejects = known - rows - duplicates
    both = known & set(now)
    new = set(now) - known
    relabelled, moved = set[str](), set[str]()
    if retry_rejects:
        changed, new, prune = both & rejects, set(), False
    else:
        changed = {
            key
            for key in both
            if now[key].size_bytes >= 0 and now[key][:2] != before[key].listed[:2]
        }
        relabelled = {key for key in both if now[key].label != before[key].listed.label}
        moved = relabelled | {key for key in both if now[key].split != before[key].listed.split}
        changed |= (both & with_status("unlabelled")) | (duplicates & relabelled)
    removed = changed | (known & unusable - rejects) | (known - exists if prune else set())
    moved = moved & rows - removed
    resolved, renamed = set(removed), moved & relabelled
    for key in duplicates:
        kept = before[key].kept_key
        if kept in resolved or (key in now and kept in renamed):
            removed.add(key)
    listed_conflicts, gone_conflicts = conflicts & set(now), conflicts - exists
    labels = {key: now[key].label for key in listed_conflicts}
    if listed_conflicts and (
        removed
        or new
        or moved
        or gone_conflicts
        or labels != {key: labels_before[key].label for key in listed_conflicts}
    ):
        removed |= listed_conflicts | gone_conflicts
    return Decisions(removed & set(now) | new, moved, removed, known - exists - removed)


KEYS = st.sampled_from("abcdefgh")
LISTED = st.sampled_from([A, B, DOG, VALIDATION, Listed(-1, 0.0), Listed(2, 10.0)])
STATUS = st.sampled_from(["row", "duplicate", "truncated", "conflict", "unlabelled"])
IMAGES = st.builds(Known, st.sampled_from([A, B]), STATUS, KEYS)


@given(
    st.dictionaries(KEYS, LISTED),
    st.dictionaries(KEYS, IMAGES),
    st.sets(KEYS),
    st.booleans(),
    st.booleans(),
    st.booleans(),
)
def test_no_image_is_lost_and_none_is_processed_twice(
    now: dict[str, Listed],
    before: dict[str, Known],
    unusable: set[str],
    retry: bool,
    prune: bool,
    labels_changed: bool,
) -> None:
    now = {key: image for key, image in now.items() if key not in unusable}
    labels = dict.fromkeys(now, Listed(1, 1.0, "bird")) if labels_changed else now
    decisions = compare(now, before, " ".join(unusable), labels, retry_rejects=retry, prune=prune)
    assert decisions == decide(now, before, unusable, labels, retry, prune)
    read, moved, removed, missing = decisions
    stays = set(before) - removed
    assert moved <= stays & set(now) - read
    assert all(before[key].status == "row" for key in moved)
    assert not stays & read  # no image is both kept and read again
    assert read <= set(now)
    assert missing <= stays
    # Listed images stay or are read; with retry, new ones are ignored.
    processed = set(before) & set(now) if retry else set(now)
    assert processed <= stays | read
    # Unlisted images are removed only if pruned, if they were duplicates of a removed image, or
    # conflicts, if others are resolved again.
    lost = set(before) - set(now) - unusable - stays
    assert all(
        (prune and not retry)
        or (before[key].status == "duplicate" and before[key].kept_key in removed)
        or before[key].status == "conflict"
        for key in lost
    )
    assert not stays & unusable & {key for key in before if before[key].status in LABELLED}


# Two of each kind of change.
MIXED_BEFORE = {
    f"{name}{number}": image
    for number in "12"
    for name, image in {
        "same": Known(A, "row"),
        "row": Known(A, "row"),
        "relabelled": Known(A, "row"),
        "moved": Known(A, "row"),
        "gone": Known(A, "row"),
        "copy": Known(A, "duplicate", f"row{number}"),
        "lost copy": Known(A, "duplicate", f"row{number}"),
        "left copy": Known(A, "duplicate", f"relabelled{number}"),
        "same copy": Known(A, "duplicate", f"same{number}"),
        "bad": Known(A, "truncated"),
        "torn": Known(A, "conflict"),
    }.items()
}
MIXED_NOW = {
    f"{name}{number}": image
    for number in "12"
    for name, image in {
        "new": Listed(3, 12.0, "bird", 2),
        "same": A,
        "row": B,
        "relabelled": DOG,
        "moved": VALIDATION,
        "copy": A,
        "same copy": A,
        "torn": A,
    }.items()
}


def find(spark: SparkSession, folder: Path, entries: pa.Table, known: pa.Table) -> Delta:
    return changes.find_changes(
        spark,
        create_frame(spark, entries, 2),
        create_frame(spark, known, 2),
        str(folder),
        entries.num_rows,
        known.num_rows,
    )


@pytest.mark.parametrize("partition_rows", [200_000, 7])
def test_spark_compares_all_images(
    spark: SparkSession,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    partition_rows: int,
) -> None:
    monkeypatch.setattr(changes, "_PARTITION_ROWS", partition_rows)
    (tmp_path / "notes").mkdir()
    (tmp_path / "notes" / "old").touch()
    entries, known = as_entries(MIXED_NOW, ["bad1", "bad2"]), as_known(MIXED_BEFORE)
    delta = find(spark, tmp_path, entries, known)
    assert (len(delta.change_urls) == 2) == (partition_rows > 7)
    assert read_decisions(delta, MIXED_BEFORE, ["bad1", "bad2"]) == Decisions(
        read={f"{name}{number}" for name in ("new", "row", "copy", "torn") for number in "12"},
        moved={"relabelled1", "relabelled2", "moved1", "moved2"},
        removed={
            f"{name}{number}" for name in ("row", "copy", "lost copy", "torn") for number in "12"
        },
        missing={"gone1", "gone2", "left copy1", "left copy2"},
    )
    assert delta.notes == {
        0: NoteCounts(f"{tmp_path}/notes/000000.parquet", 2, 4, 2),
        1: NoteCounts(f"{tmp_path}/notes/000001.parquet", 4, 0, 0),
        2: NoteCounts(f"{tmp_path}/notes/000002.parquet", 4, 0, 2),
    }
    assert list(arrow.iter_rows(storage.read_table(delta.notes[0].url), *NOTE_NAMES)) == [
        (1, "dropped", "", -1),
        (2, "moved", "dog", 0),
        (3, "moved", "cat", 1),
        (4, "gone", "", -1),
        (6, "dropped", "", -1),
        (7, "moved", "dog", 0),
        (8, "moved", "cat", 1),
        (9, "gone", "", -1),
    ]
    assert sorted(path.name for path in (tmp_path / "notes").iterdir()) == [
        "000000.parquet",
        "000001.parquet",
        "000002.parquet",
    ]
    # Neither the order nor the number of partitions decides.
    assert delta.digest == MIXED_DIGEST


NOTE_NAMES = ("row", "note", "label", "split")
MIXED_DIGEST = "645d211d1f68dfcd401126e357f8e5ca"


def test_the_work_is_the_entries_of_images_to_read_and_to_reject(
    spark: SparkSession, tmp_path: Path
) -> None:
    entries = as_entries({"row": A, "new": Listed(5, 12.5, "dog", 2)}, ["bad"])
    delta = find(spark, tmp_path, entries, as_known({"row": Known(A, "row")}))
    work = delta.read_work(spark)
    assert work.columns == ENTRIES.names
    assert sorted(map(tuple, work.collect())) == [
        ("bad", "path/bad", "", 0, 1, 10.0, 7, "unreadable", "why", ""),
        ("new", "path/new", "dog", 2, 5, 12.5, 7, "", "", ""),
    ]


@pytest.mark.parametrize(
    "changed",
    [
        {"a": B},
        {"a": A, "b": A},
        {"a": A, "b": VALIDATION},
        {"a": DOG},
        {"a": VALIDATION},
        {"a": Listed(2, 10.0)},
        {},
    ],
)
def test_the_digest_shows_every_decision(changed: dict[str, Listed]) -> None:
    before = {"a": Known(A, "row")}
    assert digest_of({"a": A, "b": B}, before) != digest_of(changed, before)


def digest_of(now: dict[str, Listed], before: dict[str, Known]) -> str:
    with tempfile.TemporaryDirectory() as folder:
        pairs = table(CHANGES, *compare_pairs(as_entries(now), as_known(before)))
        totals = list(write_changes(folder, [pairs]))
        rows = [row for table in totals for row in arrow.iter_rows(table, *TOTALS.names)]
        return changes.decide_changes(None, rows, folder, "").digest


@pytest.mark.parametrize("in_spark", [True, False])
def test_labels_of_conflicts_have_one_digest_in_any_order(
    spark: SparkSession, in_spark: bool
) -> None:
    images = {"torn": A, "apart": DOG, "other": A}
    conflicts = [("torn", "conflict", "", 1, 0.0), ("apart", "conflict", "", 1, 0.0)]
    others = [("other", "empty", "", 1, 0.0), ("gone", "conflict", "", 1, 0.0)]

    def digest(listed: dict[str, Listed], *rejects: tuple[object, ...]) -> str:
        session = spark if in_spark else None
        entries = create_frame(session, as_entries(listed), 2)
        rejected = create_frame(session, table(schema.REJECTS, *rejects), 2)
        return digest_conflict_labels(entries, rejected, 7)

    before = {"torn": Known(A, "conflict"), "apart": Known(DOG, "conflict")}
    assert digest(images, *conflicts, *others) == digest_labels(images, before)
    relabelled = {**images, "apart": A}
    assert digest(relabelled, *conflicts, *others) == digest_labels(relabelled, before)
    assert digest_labels(relabelled, before) != digest_labels(images, before)
    assert digest_labels(images, before) == digest_labels(dict(reversed(images.items())), before)
    assert digest(images, *others) == ""


def test_a_new_dataset_has_the_work_of_all_entries(spark: SparkSession) -> None:
    def entries(session: Optional[SparkSession]) -> Frame:
        return create_frame(session, as_entries({"a": A}, ["bad"]), 1)

    new = Delta.of_new_dataset
    delta = new(entries, num_usable=1, num_unusable=1, digest="d")
    assert [row.key for row in delta.read_images(spark).collect()] == ["a"]
    assert [row.path for row in delta.read_unusable(spark).collect()] == ["bad"]
    progress = ActionProgress("write", "")
    assert [row.path for row in collect_rows(delta.read_unusable(None), progress)] == ["bad"]
    assert (delta.num_read, delta.num_unusable, delta.digest) == (1, 1, "d")
    assert not delta.is_empty
    assert not delta.all_unusable_known
    delta = new(entries, num_usable=1, num_unusable=1, digest="d", retry_rejects=True)
    assert delta.is_empty
    assert not delta.all_unusable_known
