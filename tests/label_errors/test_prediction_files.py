from __future__ import annotations

from pathlib import Path

import numpy as np

from drawn_label_errors import LABELS, write_predictions
from halftone.label_errors.prediction_files import read_predictions


def test_labels_become_indices_and_lists_a_matrix(tmp_path: Path) -> None:
    path = str(tmp_path / "a.parquet")
    probabilities = np.array([[0.25, 0.25, 0.5], [0.5, 0.5, 0.0]], np.float32)
    write_predictions(path, ["a.png", "b.png"], ["owl", "cat"], probabilities)
    rows = read_predictions(path, LABELS)
    assert rows.keys.to_pylist() == ["a.png", "b.png"]
    assert rows.label_ids.tolist() == [2, 0]
    assert rows.probabilities.tolist() == probabilities.tolist()
