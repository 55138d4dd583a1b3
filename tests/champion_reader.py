"""Serves models:/NAME@champion in a loop, until a file `stop` exists, and once after that.

    python tests/champion_reader.py FOLDER NAME

At the end it writes served.json: the versions of the models in the order in which they were first
served, the number of predictions, and all failures.
"""

from __future__ import annotations

import json
import os
import sys
import time
from pathlib import Path

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

import numpy as np

from halftone import model_directory
from halftone.config import TrackingSettings
from halftone.scoring.predict import PredictorSettings, predict_probabilities
from halftone.tracking import mlflow_model


def main(folder: Path, name: str) -> None:
    served: list[str] = []
    failures: list[str] = []
    settings = TrackingSettings(uri=f"sqlite:///{folder}/mlflow.db")
    pixels = np.random.default_rng(0).integers(0, 256, (4, 12, 12, 1)).astype(np.uint8)
    count = 0
    is_last = False
    while not is_last:
        is_last = (folder / "stop").exists()
        try:
            copy = mlflow_model.fetch_model(
                f"models:/{name}@champion", str(folder / "served"), settings
            )
            model_info = model_directory.read_model_info(copy)
            predictor = PredictorSettings(
                f"{copy}/{model_info.network}",
                model_info.version,
                tuple(model_info.labels),
                model_info.shape(),
                4,
                1,
            )
            probabilities = predict_probabilities(predictor, pixels)
            assert probabilities.shape == (4, 2)
            assert np.allclose(probabilities.sum(axis=1), 1, atol=1e-5)
            count += 1
            if served[-1:] != [model_info.version]:
                served.append(model_info.version)
        except Exception as error:
            # Before the first promotion there is no champion to serve.
            if served:
                failures.append(f"{type(error).__name__}: {error}")
        time.sleep(0.0 if is_last else 2.0)  # leave the cores to the runs
    result = {"served": served, "failures": failures, "count": count}
    (folder / "served.json").write_text(json.dumps(result))


if __name__ == "__main__":
    main(Path(sys.argv[1]), sys.argv[2])
