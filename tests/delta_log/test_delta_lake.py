"""Delta Lake in Spark, the first of the readers of its logs, and its tables by name."""

from __future__ import annotations

from pathlib import Path

import pyarrow as pa
import pytest

import delta_lake
from halftone import storage
from halftone.dataset.plain_reads import GUARD, refuse_plain_reads
from halftone.delta_log import TableContent, TableFile, publish_version
from halftone.errors import InputError
from halftone.listing.delta_table import find_delta_files

CREATED_MS = 1_700_000_000_000
PETS = [["1.jpg", "cat"], ["2.jpg", "dog"], ["3.jpg", "cat"]]


@pytest.mark.slow
@pytest.mark.needs("delta-lake")
def test_delta_lake_reads_each_version_and_halftone_its_tables(tmp_path: Path) -> None:
    """Twelve versions: the checkpoint of version 10 and two versions after it are read."""
    root = tmp_path / "rows"
    files = []
    for number, split in enumerate(["train", "test"] * 7):
        path, rows = f"{split}/{number:02d}.parquet", pa.table({"key": [f"{number:02d}"]})
        size_bytes = storage.write_table(str(root / path), rows)
        files.append(TableFile(path, size_bytes, CREATED_MS, 1, (("split", split),)))
    for version in range(1, 13):
        newest = files[version - 1 : version + 1]
        publish_version(
            TableContent(str(root), rows.schema, newest, CREATED_MS, {}, ("split",)), version
        )
    assert (root / "_delta_log" / f"{10:020d}.checkpoint.parquet").exists()
    refuse_plain_reads(str(root), ["train"])
    storage.write_bytes(str(root / "manifest.json"), b"{}")

    found = delta_lake.run_steps("delta_lake_steps", tmp_path)
    assert found["versions"] == {
        "0": [],
        "1": ["00train", "01test"],
        "11": ["10train", "11test"],
        "12": ["11test", "12train"],
    }
    assert "Cannot time travel Delta table to version 13" in found["version 13"]
    assert found["history"] == 15  # 0 to 12, and VACUUM's notes of its start and end
    # VACUUM removed nothing: neither older files nor those that the log does not name.
    assert {f"rows/{file.path}" for file in files} <= {*found["files"]}
    assert f"rows/train/{GUARD}" in found["files"]
    assert (root / "manifest.json").exists()

    # Of a table with column mapping, the rows by Spark, and a clear error without it.
    assert found["pets"] == found["delta"] == PETS
    with pytest.raises(InputError, match=r"is a Delta table with reader version 2, which Halftone"):
        find_delta_files(str(tmp_path / "pets" / "images"))
