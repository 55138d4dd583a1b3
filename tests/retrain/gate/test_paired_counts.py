from __future__ import annotations

from collections import Counter
from pathlib import Path

import pyarrow as pa
import pytest

from halftone import storage
from halftone.dataset import schema
from halftone.errors import RunError
from halftone.retrain.gate import paired_counts

LABELS = ["comic", "photo"]


def scores(folder: Path, *files: list[tuple[str, str, str]]) -> list[str]:
    """Write predictions of rows (key, label, prediction), a file for each list."""
    urls = []
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
        urls.append(str(folder / f"predictions/{number}.parquet"))
        storage.write_table(urls[-1], table)
    return urls


def test_pairs_of_predictions_are_counted(tmp_path: Path) -> None:
    champion = scores(
        tmp_path / "champion",
        [("a", "comic", "comic"), ("b", "photo", "comic")],
        [("c", "photo", "comic")],
    )
    challenger = scores(
        tmp_path / "challenger",
        [("a", "comic", "photo"), ("b", "photo", "photo")],
        [("c", "photo", "photo")],
    )
    counts = paired_counts.count_pairs(LABELS, champion, challenger, {"a", "c", "removed"})
    assert counts.rows == Counter({(1, 0, 1): 2, (0, 0, 1): 1})
    assert counts.known_rows == Counter({(1, 0, 1): 1, (0, 0, 1): 1})
    assert paired_counts.read_keys(champion) == {"a", "b", "c"}


def test_scores_of_different_rows_are_refused(tmp_path: Path) -> None:
    champion = scores(tmp_path / "champion", [("a", "comic", "comic")])
    challenger = scores(tmp_path / "challenger", [("b", "comic", "comic")])
    with pytest.raises(RunError) as caught:
        paired_counts.count_pairs(LABELS, champion, challenger, set())
    file = "predictions/0.parquet"
    assert str(caught.value) == (
        f"{tmp_path}/champion/{file} and {tmp_path}/challenger/{file} contain different rows; "
        "remove both folders of scores, and run again"
    )
