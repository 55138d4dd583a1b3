"""Someone who serves models:/NAME@champion all the while, until a file `stop` is there.

    python tests/serving.py FOLDER NAME

Writes served.json in the end: each model's digest in the order in which it was first served, how
often it predicted, and all that failed.
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
    while not (folder / "stop").exists():
        try:
            copy = mlflow_model.fetch_model(
                f"models:/{name}@champion", str(folder / "served"), settings
            )
            card = model_directory.read_model_info(copy)
            work = PredictorSettings(
                f"{copy}/{card.network}", card.version, tuple(card.labels), card.shape(), 4, 1
            )
            made = predict_probabilities(work, pixels)
            assert made.shape == (4, 2)
            assert np.allclose(made.sum(axis=1), 1, atol=1e-5)
            count += 1
            if served[-1:] != [card.version]:
                served.append(card.version)
        except Exception as error:
            # Until the first champion is there, there is nothing to serve.
            if served:
                failures.append(f"{type(error).__name__}: {error}")
        time.sleep(0.2)
    result = {"served": served, "failures": failures, "count": count}
    (folder / "served.json").write_text(json.dumps(result))


if __name__ == "__main__":
    main(Path(sys.argv[1]), sys.argv[2])
