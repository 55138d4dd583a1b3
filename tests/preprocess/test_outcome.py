"""The outcome of every input, from staged parts and files of the previous version."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple, cast

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from pyspark.sql import SparkSession

from conftest import small_config
from example_manifest import example
from halftone.dataset import schema
from halftone.dataset.shard_files import ShardFile
from halftone.dataset.splits import SPLITS
from halftone.preprocess.assignment import AssignmentSummary
from halftone.preprocess.catalogue import Catalogue
from halftone.preprocess.change_notes import NoteCounts
from halftone.preprocess.context import PreprocessContext
from halftone.preprocess.decode_block import PART, StagedPart, count_decoded
from halftone.preprocess.delta import Delta
from halftone.preprocess.entries import ENTRIES
from halftone.preprocess.outcome import PreprocessOutcome, StagedRows, decide_outcome
from halftone.preprocess.previous_version import VersionFile
from halftone.preprocess.row_notes import ROW_NOTES, keep_mask
from halftone.preprocess.shards import FileRows
from halftone.preprocess.side_tables import SideTable
from halftone.spark import local_frame
from halftone.spark.frames import create_frame
from tables import digest, table

TRAIN, VALIDATION, TEST = range(3)
NO_CHANGES = Delta()


def image(
    key: str,
    label: str = "cat",
    split: int = TRAIN,
    status: str = "ok",
    bits: int = 0,
    name: str = "",
) -> tuple[Any, ...]:
    """A staged image; `bits` is its perceptual hash, `name` stands for the bytes of its file."""
    detail = "" if status == "ok" else "bad"
    return (key, label, split, status, detail, b"p", 8, 8, 100, 1.5, digest(name or key), bits)


def row(key: str, label: str, label_id: int, name: str = "") -> tuple[Any, ...]:
    """A row of the previous version."""
    return (key, label, label_id, b"p", 8, 8, 100, 1.5, digest(name or key), 0)


class Inputs(NamedTuple):
    """Files below a folder."""

    folder: Path
    spark: SparkSession

    def write(self, name: str, schema_: pa.Schema, *rows: tuple[Any, ...]) -> str:
        path = self.folder / name
        path.parent.mkdir(exist_ok=True, parents=True)
        pq.write_table(table(schema_, *rows), path)
        return str(path)

    def part(self, name: str, *images: tuple[Any, ...]) -> StagedPart:
        url = self.write(name, PART, *images)
        counts = count_decoded(table(PART, *images))
        return StagedPart(url, len(images), dict(zip(SPLITS, counts)))

    def shard(self, index: int, name: str, *rows: tuple[Any, ...]) -> VersionFile:
        url = self.write(name, schema.ROWS, *rows)
        file = ShardFile(path=name, split="train", rows=len(rows), size_bytes=1, digest="")
        return VersionFile(index, url, "rows", "train", file)

    def read(self, side_table: SideTable) -> list[dict[str, Any]]:
        dataset = self.folder / "dataset"
        return [r for name in side_table.files for r in pq.read_table(dataset / name).to_pylist()]

    def decide(
        self,
        parts: Sequence[StagedPart],
        files: Sequence[VersionFile] = (),
        delta: Delta = NO_CHANGES,
        previous: Any = None,
        drop_empty_labels: bool = False,
        **preprocess: Any,
    ) -> PreprocessOutcome:
        settings = {"max_reject_fraction": 1.0, "near_duplicates": "off", **preprocess}
        catalogue = Catalogue("/i", (), AssignmentSummary(), {}, (), (), 0, ())
        delta = delta._replace(num_read=sum(part.num_rows for part in parts))
        context = PreprocessContext(
            *(self.spark, small_config(preprocess=settings), catalogue),
            *(str(self.folder / "dataset"), "run", previous, list(files), delta),
        )
        return decide_outcome(context, StagedRows([], parts), drop_empty_labels=drop_empty_labels)


@pytest.fixture(params=["in Spark", "in this process"])
def inputs(
    request: pytest.FixtureRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> Inputs:
    if request.param == "in this process":
        return Inputs(tmp_path, cast(SparkSession, None))
    monkeypatch.setattr(local_frame, "MAX_LOCAL_ROWS", -1)
    return Inputs(tmp_path, request.getfixturevalue("spark"))


BOTH = (image("/i/cat"), image("/i/dog", "dog"))


def test_rows_are_counted_by_part_and_split(inputs: Inputs) -> None:
    parts = [
        inputs.part("p0", *BOTH, image("/i/val", "dog", VALIDATION), image("/i/late")),
        inputs.part("p1", image("/i/x", "dog", TEST, "empty"), image("/i/t", split=TEST)),
    ]
    result = inputs.decide(parts)
    assert result.file_rows == [
        FileRows(parts[0].url, "train", 3),
        FileRows(parts[0].url, "validation", 1),
        FileRows(parts[1].url, "test", 1),
    ]
    assert result.labels == ["cat", "dog"]
    assert result.counts == {
        "train": {"cat": 2, "dog": 1},
        "validation": {"cat": 0, "dog": 1},
        "test": {"cat": 1, "dog": 0},
    }
    assert result.inputs == 6
    assert inputs.read(result.rejects) == [
        {"path": "/i/x", "reason": "empty", "detail": "bad", "size_bytes": 100, "modified": 1.5}
    ]
    assert (result.duplicates.files, result.near_duplicates.files) == ([], [])


def test_files_of_the_previous_version_lose_rows_by_notes_and_by_new_images(
    inputs: Inputs,
) -> None:
    rejects = inputs.write(
        "rejects", schema.REJECTS, ("/i/m", "empty", "", 0, 1.0), ("/i/n", "empty", "", 0, 1.0)
    )
    duplicates = inputs.write(
        "duplicates",
        schema.DUPLICATES,
        ("/i/x", "/i/a", 7, 2.5, "cat", digest("/i/a")),
        ("/i/y", "/i/gone", 7, 2.5, "cat", digest("y")),
    )
    files = [
        inputs.shard(0, "s0", row("/i/a", "cat", 0), row("/i/b", "dog", 1)),
        inputs.shard(1, "s1", *(row(f"/i/{key}", "cat", 0) for key in "cde")),
        VersionFile(2, rejects, "rejects", "", None),
        VersionFile(3, duplicates, "duplicates", "", None),
    ]
    notes = {
        index: inputs.write(f"notes{index}", ROW_NOTES, (number, "dropped", "", -1))
        for index, number in ((1, 0), (2, 1), (3, 1))
    }
    unusable = ("/i/z", "z", "", -1, 9, 3.0, 0, "unlabelled", "no label", "")
    delta = Delta(
        num_unusable=1,
        num_removed=3,
        notes={index: NoteCounts(url, 1, 0, 0) for index, url in notes.items()},
        read_entries=lambda session: create_frame(session, table(ENTRIES, unusable), 1),
    )
    new = inputs.part(
        "p",
        image("/i/new", "ant"),
        image("/i/liar", "dog", name="/i/e"),
        image("/i/copy", name="/i/a"),
    )
    previous = example().model_copy(
        update={"inputs": 9, "rejects": 2, "duplicates": 2, "labels": ["cat", "dog"]}
    )
    result = inputs.decide([new], files, delta, previous)
    first, second, third = result.file_rows
    assert first == FileRows(files[0].url, "train", 2, (), files[0].shard)
    assert (second.url, second.num_rows, second.shard) == (files[1].url, 1, None)
    assert keep_mask(3, second.notes).tolist() == [False, True, False]
    assert (third.url, third.num_rows) == (new.url, 1)
    assert keep_mask(3, third.notes).tolist() == [True, False, False]
    # The labels of the previous version keep their indices.
    assert result.labels == ["cat", "dog", "ant"]
    assert result.counts["train"] == {"cat": 2, "dog": 1, "ant": 1}
    conflict = "label {!r}, but /i/{} has the same bytes and label {!r}"
    assert [(r["path"], r["reason"], r["detail"]) for r in inputs.read(result.rejects)] == [
        ("/i/e", "conflict", conflict.format("cat", "liar", "dog")),
        ("/i/liar", "conflict", conflict.format("dog", "e", "cat")),
        ("/i/m", "empty", ""),
        ("/i/z", "unlabelled", "no label"),
    ]
    assert result.rejects.num_by_reason == {"conflict": 2, "empty": 1, "unlabelled": 1}
    assert (
        inputs.read(result.duplicates)
        == table(
            schema.DUPLICATES,
            ("/i/copy", "/i/a", 100, 1.5, "cat", digest("/i/a")),
            ("/i/x", "/i/a", 7, 2.5, "cat", digest("/i/a")),
        ).to_pylist()
    )
    assert result.inputs == 10


@pytest.mark.parametrize(
    ("empty", "labels", "is_unchanged"),
    [("zebra", ["cat", "dog"], True), ("ant", ["cat", "dog"], False)],
)
def test_labels_without_rows_are_dropped_and_shards_are_kept_if_no_label_id_changes(
    inputs: Inputs, empty: str, labels: list[str], is_unchanged: bool
) -> None:
    old = sorted(["cat", "dog", empty])
    rows = [row(f"/i/{label}", label, old.index(label)) for label in labels]
    shard = inputs.shard(0, "s", *rows)
    update = {"inputs": 2, "rejects": 0, "duplicates": 0, "labels": old}
    previous = example().model_copy(update=update)
    dropped = inputs.decide([], [shard], previous=previous, drop_empty_labels=True)
    assert dropped.labels == labels
    assert dropped.file_rows == [
        FileRows(shard.url, "train", 2, (), shard.shard if is_unchanged else None)
    ]
    assert dropped.counts["train"] == {"cat": 1, "dog": 1}
    if is_unchanged:
        kept = inputs.decide([], [shard], previous=previous)
        assert (kept.labels, kept.file_rows) == (old, dropped.file_rows)


@pytest.mark.parametrize("mode", ["report", "drop"])
def test_a_near_duplicate_of_another_label_is_kept_as_a_possible_label_error(
    inputs: Inputs, mode: str
) -> None:
    part = inputs.part(
        "p",
        image("/i/cat", bits=0b1111),
        image("/i/dog", "dog", bits=0b1111),
        image("/i/cat2", split=TEST, bits=0b0111),  # as near to /i/cat as to /i/dog
        image("/i/owl", "owl", TEST, bits=0b1111),
        image("/i/far", split=TEST, bits=-1),
    )
    result = inputs.decide([part], near_duplicates=mode, max_near_duplicate_fraction=0.5)
    assert (
        inputs.read(result.near_duplicates)
        == table(
            schema.NEAR_DUPLICATES,
            ("/i/cat2", "test", "cat", "/i/cat", "train", "cat", 1),
            ("/i/owl", "test", "owl", "/i/cat", "train", "cat", 0),
        ).to_pylist()
    )
    expected = [("/i/cat2", "/i/cat", "cat", digest("/i/cat2"))] if mode == "drop" else []
    assert [
        (r["path"], r["kept_path"], r["label"], r["digest"]) for r in inputs.read(result.duplicates)
    ] == expected
    assert result.possible_label_errors == 1
    assert result.counts["test"] == {"cat": 1 if mode == "drop" else 2, "dog": 0, "owl": 1}
    _, test_rows = result.file_rows
    assert test_rows.num_rows == (2 if mode == "drop" else 3)
    dropped = [row for row, kept in enumerate(keep_mask(5, test_rows.notes)) if not kept]
    assert dropped == ([2] if mode == "drop" else [])
    assert result.chance_near_fraction is not None
    assert 0 < result.chance_near_fraction < 1
