"""The gate reads the metrics and the predictions of both models."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np

from halftone import arrow, storage
from halftone.config import GateSettings
from halftone.retrain.gate import compare, decision
from halftone.retrain.registry import ModelVersion
from halftone.scoring import predictions
from halftone.scoring.predict import PredictorSettings
from report_pages import FACES, old_metrics

JOB: Any = SimpleNamespace(settings=SimpleNamespace(gate=GateSettings()))


def write_scores(folder: Path, hits: int, rows: int = 200) -> str:
    """Write the scores of a model that predicts the first `hits` rows correctly."""
    label_ids = np.arange(rows) % 2
    predicted_ids = np.where(np.arange(rows) < hits, label_ids, 1 - label_ids)
    table = predictions.prediction_table(
        PredictorSettings("", "v1", tuple(FACES), (1, 1, 1), 1, 1),
        arrow.string_array([f"{row:03d}" for row in range(rows)]),
        arrow.string_array([FACES[class_id] for class_id in label_ids]),
        np.eye(2, dtype=np.float32)[predicted_ids],
        "f00",
    )
    storage.write_table(str(folder / "predictions" / "a.parquet"), table)
    confusion = np.zeros((2, 2), int)
    np.add.at(confusion, (label_ids, predicted_ids), 1)
    scores = old_metrics(confusion.tolist(), FACES, predictions=["predictions/a.parquet"])
    storage.write_json(str(folder / "metrics.json"), scores.to_json())
    return str(folder)


def test_a_better_challenger_is_promoted(tmp_path: Path) -> None:
    own_test = tmp_path / "earlier" / compare.SCORES / compare.CHALLENGER
    write_scores(own_test, 150, rows=100)
    entry = {
        "champion": write_scores(tmp_path / "champion", 150),
        "challenger": write_scores(tmp_path / "challenger", 190),
        "misfit": "",
    }
    champion = ModelVersion("1", "", str(tmp_path / "earlier"), ())
    result = compare.compare_models(JOB, entry, champion, "2")
    assert result.action == decision.PROMOTE
    assert result.reason.startswith("better by more than chance: accuracy 0.7500 to 0.9500 on 200")
    assert result.known_rows is not None
    assert result.known_rows.rows == 100
    assert compare.read_measures(entry) == {
        "champion": {"accuracy": 0.75, "f1": 0.75, "loss": 31 / 200},
        "challenger": {"accuracy": 0.95, "f1": 0.95, "loss": 31 / 200},
    }


def test_without_a_champion_the_challenger_is_promoted(tmp_path: Path) -> None:
    entry = {"champion": None, "challenger": write_scores(tmp_path / "a", 150), "misfit": ""}
    assert compare.compare_models(JOB, entry, None, "1").action == decision.PROMOTE
    assert list(compare.read_measures(entry)) == ["challenger"]
