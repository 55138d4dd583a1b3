"""The log of a table that is written version by version, line by line."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import deltalake
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from arro3.core import Array, DataType, Table

from delta_readers import READERS
from halftone import storage
from halftone.delta_log import (
    TableContent,
    TableFile,
    UnreadableLogError,
    publish_next_version,
    publish_version,
    read_snapshot,
)

SCHEMA = pa.schema(
    [
        pa.field("key", pa.string(), nullable=False),
        pa.field("loss", pa.float64()),
        pa.field("probability", pa.list_(pa.float32()), nullable=False),
    ]
)


def table_file(root: Path, path: str, *keys: str) -> TableFile:
    """Write a Parquet file with these keys; its loss and probabilities are those of all."""
    columns = [list(keys), [0.5] * len(keys), [[0.25, 0.75]] * len(keys)]
    rows = pa.table([pa.array(c, f.type) for c, f in zip(columns, SCHEMA)], schema=SCHEMA)
    size_bytes = storage.write_table(str(root / path), rows)
    return TableFile(path, size_bytes, 1_700_000_000_000, len(keys))


def content(root: Path, *files: TableFile, created_ms: int = 1_700_000_000_000) -> TableContent:
    return TableContent(str(root), SCHEMA, files, created_ms, {"fingerprint": "f"})


def lines(root: Path, version: int) -> list[dict[str, Any]]:
    text = (root / "_delta_log" / f"{version:020d}.json").read_text()
    return [json.loads(line) for line in text.splitlines()]


def log_names(root: Path) -> list[str]:
    return sorted(path.name for path in (root / "_delta_log").iterdir())


def read_keys(root: Path, version: Any = None) -> dict[str, list[str]]:
    return {
        name: [key for (key,) in read(str(root), "key", version)] for name, read in READERS.items()
    }


def in_all(*keys: str) -> dict[str, list[str]]:
    return {name: [*keys] for name in READERS}


def test_version_0_is_the_empty_table_and_version_1_adds_the_files(tmp_path: Path) -> None:
    file = table_file(tmp_path, "a b.parquet", "x", "y")
    publish_version(content(tmp_path, file), 1)
    schema = {
        "type": "struct",
        "fields": [
            {"name": "key", "type": "string", "nullable": False, "metadata": {}},
            {"name": "loss", "type": "double", "nullable": True, "metadata": {}},
            {
                "name": "probability",
                "type": {"type": "array", "elementType": "float", "containsNull": True},
                "nullable": False,
                "metadata": {},
            },
        ],
    }
    info, protocol, metadata = lines(tmp_path, 0)
    assert info == {
        "commitInfo": {
            "timestamp": 1_700_000_000_000,
            "operation": "WRITE",
            "operationParameters": {},
            "engineInfo": "Halftone/0.1.0",
        }
    }
    assert protocol == {"protocol": {"minReaderVersion": 1, "minWriterVersion": 2}}
    fields = metadata["metaData"]
    assert json.loads(fields.pop("schemaString")) == schema
    assert len(fields.pop("id")) == 36
    assert fields.pop("description").startswith("Written by Halftone")
    assert fields == {
        "format": {"provider": "parquet", "options": {}},
        "partitionColumns": [],
        "configuration": {"delta.deletedFileRetentionDuration": "interval 36500 days"},
        "createdTime": 1_700_000_000_000,
    }
    info, added = lines(tmp_path, 1)
    assert info["commitInfo"]["fingerprint"] == "f"
    assert added == {
        "add": {
            "path": "a%20b.parquet",
            "partitionValues": {},
            "size": (tmp_path / "a b.parquet").stat().st_size,
            "modificationTime": 1_700_000_000_000,
            "dataChange": True,
            "stats": '{"numRecords": 2}',
        }
    }
    assert log_names(tmp_path) == [f"{0:020d}.json", f"{1:020d}.json"]
    assert read_keys(tmp_path) == in_all("x", "y")
    assert read_keys(tmp_path, 0) == in_all()


def test_the_next_version_adds_and_removes_files(tmp_path: Path) -> None:
    a, b, c = (table_file(tmp_path, f"{name}.parquet", name) for name in "abc")
    publish_version(content(tmp_path, a, b), 1)
    publish_version(content(tmp_path, b, c, created_ms=1_700_000_009_000), 2)
    _, added, removed = lines(tmp_path, 2)
    assert added["add"]["path"] == "c.parquet"
    assert removed == {
        "remove": {
            "path": "a.parquet",
            "deletionTimestamp": 1_700_000_009_000,
            "dataChange": True,
            "extendedFileMetadata": True,
            "partitionValues": {},
            "size": a.size_bytes,
        }
    }
    assert read_keys(tmp_path) == in_all("b", "c")
    assert read_keys(tmp_path, 1) == in_all("a", "b")


def test_a_version_that_changes_nothing_is_a_version_too(tmp_path: Path) -> None:
    a = table_file(tmp_path, "a.parquet", "a")
    publish_version(content(tmp_path, a), 1)
    publish_version(content(tmp_path, a), 2)
    assert [list(line) for line in lines(tmp_path, 2)] == [["commitInfo"]]
    publish_version(content(tmp_path, a), 2)
    assert len(log_names(tmp_path)) == 3


def test_a_job_that_is_run_again_writes_the_missing_version_alone(tmp_path: Path) -> None:
    a, b = (table_file(tmp_path, f"{name}.parquet", name) for name in "ab")
    publish_version(content(tmp_path, a), 1)
    publish_version(content(tmp_path, b), 2)
    first, second = ((tmp_path / "_delta_log" / f"{n:020d}.json").read_bytes() for n in (0, 2))
    for name in (f"{1:020d}.json", f"{2:020d}.json"):
        (tmp_path / "_delta_log" / name).unlink()
    publish_version(content(tmp_path, a), 1)  # killed behind version 0
    publish_version(content(tmp_path, b), 2)
    assert (tmp_path / "_delta_log" / f"{0:020d}.json").read_bytes() == first
    assert (tmp_path / "_delta_log" / f"{2:020d}.json").read_bytes() == second


def test_every_tenth_version_has_a_checkpoint(tmp_path: Path) -> None:
    files = [table_file(tmp_path, f"{number:02d}.parquet", str(number)) for number in range(12)]
    for version in range(1, 12):
        publish_version(content(tmp_path, files[0], files[version]), version)
    checkpoints = [name for name in log_names(tmp_path) if "checkpoint" in name]
    assert checkpoints == [f"{10:020d}.checkpoint.parquet", "_last_checkpoint"]
    for number in range(10):  # which readers no longer need
        (tmp_path / "_delta_log" / f"{number:020d}.json").unlink()
    assert read_keys(tmp_path) == in_all("0", "11")
    snapshot = read_snapshot(str(tmp_path))
    assert snapshot is not None
    assert (snapshot.version, [*snapshot.files]) == (11, ["00.parquet", "11.parquet"])
    assert snapshot.files["00.parquet"] == files[0]


@pytest.mark.parametrize("reader", sorted(READERS))
def test_a_log_that_begins_later_has_no_older_versions(tmp_path: Path, reader: str) -> None:
    publish_version(content(tmp_path, table_file(tmp_path, "a.parquet", "a")), 7)
    assert log_names(tmp_path) == [
        f"{7:020d}.checkpoint.parquet",
        f"{7:020d}.json",
        "_last_checkpoint",
    ]
    assert READERS[reader](str(tmp_path), "key, loss", 7) == [("a", 0.5)]
    with pytest.raises(Exception, match=r"(?i)no files in log segment|version"):
        READERS[reader](str(tmp_path), "key", 6)
    publish_version(content(tmp_path, table_file(tmp_path, "b.parquet", "b")), 8)
    assert READERS[reader](str(tmp_path), "key, probability") == [("b", [0.25, 0.75])]


def test_the_change_of_another_writer_is_said_and_undone(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    a, b = (table_file(tmp_path, f"{name}.parquet", name) for name in "ab")
    publish_version(content(tmp_path, a), 1)
    removed = {"remove": {"path": "a.parquet", "dataChange": True}}
    (tmp_path / "_delta_log" / f"{2:020d}.json").write_text(json.dumps(removed))
    old_id = lines(tmp_path, 0)[2]["metaData"]["id"]
    publish_version(content(tmp_path, a, b, created_ms=1_700_000_009_000), 2)
    assert capsys.readouterr().err.splitlines() == [
        f"note: {tmp_path}/_delta_log: has version 2, which Halftone has not written; it is "
        "written again, and older versions of the table are gone"
    ]
    assert read_keys(tmp_path) == in_all("a", "b")
    assert lines(tmp_path, 2)[2]["metaData"]["id"] != old_id
    with pytest.raises(FileNotFoundError):
        lines(tmp_path, 1)


@pytest.mark.parametrize(
    ("damage", "message"),
    [
        (lambda log: (log / f"{1:020d}.json").write_text("{"), "is damaged"),
        (lambda log: (log / f"{0:020d}.json").unlink(), "versions are missing"),
    ],
)
def test_a_damaged_log_is_written_again(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], damage: Any, message: str
) -> None:
    a = table_file(tmp_path, "a.parquet", "a")
    publish_version(content(tmp_path, a), 1)
    damage(tmp_path / "_delta_log")
    with pytest.raises(UnreadableLogError, match=message):
        read_snapshot(str(tmp_path))
    publish_version(content(tmp_path, a), 1)
    assert message in capsys.readouterr().err
    assert read_keys(tmp_path) == in_all("a")


def test_a_table_without_files_is_not_begun(tmp_path: Path) -> None:
    publish_version(content(tmp_path), 1)
    assert not (tmp_path / "_delta_log").exists()
    assert read_snapshot(str(tmp_path)) is None
    a = table_file(tmp_path, "a.parquet", "a")
    publish_version(content(tmp_path, a), 2)
    publish_version(content(tmp_path), 3)
    assert read_keys(tmp_path) == in_all()
    assert read_keys(tmp_path, 2) == in_all("a")


def test_tables_without_a_version_of_their_own_count_changes(tmp_path: Path) -> None:
    a, b = (table_file(tmp_path, f"{name}.parquet", name) for name in "ab")
    for files in ((a,), (a,), (a, b), (a, b)):
        publish_next_version(content(tmp_path, *files))
    assert log_names(tmp_path) == [f"{number:020d}.json" for number in range(3)]
    other = pa.schema([pa.field("key", pa.string(), nullable=False)])
    publish_next_version(content(tmp_path, a)._replace(schema=other))
    snapshot = read_snapshot(str(tmp_path))
    assert snapshot is not None
    assert (snapshot.version, [*snapshot.files]) == (3, ["a.parquet"])
    assert READERS["duckdb"](str(tmp_path), "*") == [("a",)]


def test_a_table_whose_schema_another_reader_must_know_is_refused(tmp_path: Path) -> None:
    publish_version(content(tmp_path, table_file(tmp_path, "a.parquet", "a")), 1)
    for protocol, what in (
        ({"minReaderVersion": 2, "minWriterVersion": 5}, "reader version 2"),
        ({"minReaderVersion": 3, "readerFeatures": ["deletionVectors"]}, "deletionVectors"),
    ):
        (tmp_path / "_delta_log" / f"{2:020d}.json").write_text(json.dumps({"protocol": protocol}))
        with pytest.raises(UnreadableLogError) as caught:
            read_snapshot(str(tmp_path))
        assert str(caught.value) == (
            f"{tmp_path}: is a Delta table with {what}, which Halftone does not read; write its "
            "rows to a table without that, or to a folder of Parquet files"
        )


def test_a_log_of_deltalake_is_read(tmp_path: Path) -> None:
    url = str(tmp_path)

    def rows(keys: str, *parts: str) -> Table:
        columns = {"key": [*keys], "part": [*parts]}
        return Table.from_pydict({n: Array(c, DataType.string()) for n, c in columns.items()})

    deltalake.write_deltalake(url, rows("ab", "p q", "r"), partition_by=["part"])
    deltalake.write_deltalake(url, rows("c", "r"), mode="append")
    table = deltalake.DeltaTable(url)
    table.delete("key = 'a'")
    table.create_checkpoint()
    deltalake.write_deltalake(url, rows("d", "p q"), mode="append")
    snapshot = read_snapshot(url)
    assert snapshot is not None
    assert (snapshot.version, snapshot.partition_columns) == (3, ("part",))
    found = {
        (pq.read_table(tmp_path / path).column("key")[0].as_py(), *file.partition, file.num_rows)
        for path, file in snapshot.files.items()
    }
    assert found == {
        ("b", ("part", "r"), 1),
        ("c", ("part", "r"), 1),
        ("d", ("part", "p q"), 1),
    }
