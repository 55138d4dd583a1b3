from __future__ import annotations

from collections import Counter
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest

from halftone import storage
from halftone.dataset import schema
from halftone.errors import RunError
from halftone.retrain.gate import paired_counts


def scores(folder: Path, *files: list[tuple[str, str, str]]) -> tuple[str, dict[str, Any]]:
    """Write scores of rows (key, label, prediction), a file for each list."""
    names = []
    for number, rows in enumerate(files):
        table = pa.Table.from_pylist(
            [
                {
                    "key": key, "label": label, "prediction": prediction, "probability": [0.5, 0.5],
                    "loss": 0.1, "model_version": "v", "fingerprint": "f",
                }
                for key, label, prediction in rows
            ],
            schema=schema.PREDICTIONS,
        )  # fmt: skip
        names.append(f"predictions/{number}.parquet")
        storage.write_table(str(folder / names[-1]), table)
    return str(folder), {"labels": ["comic", "photo"], "predictions": names}


def test_what_both_said_is_counted(tmp_path: Path) -> None:
    one = scores(
        tmp_path / "one",
        [("a", "comic", "comic"), ("b", "photo", "comic")],
        [("c", "photo", "comic")],
    )
    other = scores(
        tmp_path / "other",
        [("a", "comic", "photo"), ("b", "photo", "photo")],
        [("c", "photo", "photo")],
    )
    found = paired_counts.count_pairs(*one, *other, known_keys={"a", "c", "gone"})
    assert found.rows == Counter({(1, 0, 1): 2, (0, 0, 1): 1})
    assert found.known_rows == Counter({(1, 0, 1): 1, (0, 0, 1): 1})
    assert paired_counts.read_keys(*one) == {"a", "b", "c"}


def test_scores_of_other_rows_are_refused(tmp_path: Path) -> None:
    one = scores(tmp_path / "one", [("a", "comic", "comic")])
    other = scores(tmp_path / "other", [("b", "comic", "comic")])
    with pytest.raises(RunError) as caught:
        paired_counts.count_pairs(*one, *other, known_keys=set())
    assert str(caught.value) == (
        f"{tmp_path}/one/predictions/0.parquet and {tmp_path}/other/predictions/0.parquet are of "
        "different rows; remove both folders of scores, and run again"
    )
