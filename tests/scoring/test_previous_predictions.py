"""Files of an earlier scoring of raw images, and which of their rows are kept."""

from __future__ import annotations

from pathlib import Path

import pyarrow as pa

from halftone import arrow, storage
from halftone.dataset import schema
from halftone.preprocess.change_notes import NoteCounts
from halftone.preprocess.entries import KNOWN
from halftone.scoring import previous_predictions
from halftone.scoring.previous_predictions import KeptFile, PreviousFile


def test_files_that_lose_rows_are_replaced() -> None:
    files = [
        PreviousFile("predictions/a1/part-000000.parquet", False, 5),
        PreviousFile("predictions/a1/part-000001.parquet", False, 5),
        PreviousFile("predictions/a1/part-000002.parquet", False, 5),
        PreviousFile("rejects/a1/part-000000.parquet", True, 2),
    ]
    notes = {
        1: NoteCounts("n1", num_dropped=2, num_moved=0, num_gone=1),
        2: NoteCounts("n2", num_dropped=5, num_moved=0, num_gone=0),
        3: NoteCounts("n3", num_dropped=0, num_moved=0, num_gone=2),
    }
    assert previous_predictions.plan_kept_files(files, notes, "b2") == [
        KeptFile(files[0], files[0].path, "", 5),
        KeptFile(files[1], "predictions/b2/part-000001-of-a1.parquet", "n1", 3),
        KeptFile(files[3], files[3].path, "", 2),
    ]


def test_predictions_and_rejects_become_known_images(tmp_path: Path) -> None:
    predictions, rejects = str(tmp_path / "p.parquet"), str(tmp_path / "r.parquet")
    rows = pa.table(
        [
            arrow.string_array(["/i/a", "/i/b"]),
            pa.array(["cat", None], pa.string()),
            arrow.number_array([10, 20], pa.int64()),
            arrow.number_array([1.5, 2.5], pa.float64()),
        ],
        [schema.KEY, schema.LABEL, schema.SIZE_BYTES, schema.MODIFIED],
    )
    storage.write_table(predictions, rows)
    rejected = [["/i/c"], ["empty"], [""], [0], [3.5]]
    storage.write_table(rejects, pa.table(rejected, schema=schema.REJECTS))
    (known,) = previous_predictions.read_known_file(4, predictions, False)
    assert known.schema == KNOWN
    assert list(arrow.iter_rows(known, *KNOWN.names)) == [
        ("/i/a", 10, 1.5, "cat", 0, "row", "", 4, 0),
        ("/i/b", 20, 2.5, "", 0, "row", "", 4, 1),
    ]
    (known,) = previous_predictions.read_known_file(5, rejects, True)
    assert list(arrow.iter_rows(known, *KNOWN.names)) == [
        ("/i/c", 0, 3.5, "", 0, "empty", "", 5, 0)
    ]
