"""A folder of scores: which predictions count, and what is left of earlier ones.

metrics.json              what the predictions come to; names them, and is written last
report.html               for people
predictions/RUN/*.parquet a row for each image, see schema.PREDICTIONS
predictions/RUN/rejects-* raw images that gave no row, see schema.REJECTS
model/VERSION/            the model, where it came from MLflow
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable
from typing import Any, Optional

from halftone import storage
from halftone.config import ScoreSettings
from halftone.dataset import schema
from halftone.errors import InputError
from halftone.metrics.summarise import summarise
from halftone.model_directory import ModelInfo
from halftone.scoring.predict import PredictorSettings
from halftone.scoring.predictions import PredictionSummary

METRICS = "metrics.json"
REPORT = "report.html"
PREDICTIONS = "predictions"
MODEL = "model"
# Settings that no single prediction depends on.
_SETTINGS_WITHOUT_EFFECT = {"split", "batch_size", "top_ks", "only_new", "catalogue"}


def scoring_fingerprint(
    model_info: ModelInfo, settings: ScoreSettings, dataset_fingerprint: Optional[str]
) -> str:
    """Name what decides a prediction, besides the image.

    Args:
        fingerprint: of the dataset by whose validation split threshold and temperature are found.
    """
    decides = settings.model_dump(mode="json", exclude=_SETTINGS_WITHOUT_EFFECT)
    pixels = model_info.pixels.model_dump(mode="json")
    return hash_parts(
        schema.SCHEMA_VERSION,
        model_info.version,
        model_info.labels,
        pixels,
        decides,
        dataset_fingerprint,
    )


def hash_parts(*parts: Any) -> str:
    """A short name for all that `parts` say."""
    text = json.dumps(parts, sort_keys=True)
    return hashlib.blake2b(text.encode(), digest_size=8).hexdigest()


def compute_metrics(
    prediction_summary: PredictionSummary, predictor: PredictorSettings, settings: ScoreSettings
) -> dict[str, Any]:
    """What metrics.json says of the rows whose label is known, see metrics.summarise."""
    return summarise(
        prediction_summary.accumulator,
        list(predictor.labels),
        top_ks=settings.top_ks,
        threshold=predictor.threshold,
        rule=str(settings.threshold),
        temperature=predictor.temperature,
    )


def read_previous_metrics(output: str) -> dict[str, Any]:
    """Return the metrics of the last run at `output`; an empty dict where there are none.

    Raises:
        InputError: something else than scores is at `output`.
    """
    held = storage.list_names(output)
    if METRICS in held:
        found = storage.read_json(storage.join(output, METRICS))
        return found if isinstance(found, dict) else {}
    others = [name for name in held if name not in (PREDICTIONS, MODEL)]
    if others:
        raise InputError(
            f"{output}: exists and holds no scores (it holds {', '.join(others[:3])}"
            f"{', ...' if len(others) > 3 else ''}); give another --output"
        )
    return {}


def publish_scores(output: str, result: dict[str, Any], files: Iterable[str]) -> None:
    """Make `result` the scores at `output`, and remove what no longer counts.

    Args:
        files: below `output`; all that is to stay below PREDICTIONS.
    """
    storage.write_json(storage.join(output, METRICS), result)
    stays = {tuple(file.split("/")[1:]) for file in files}
    folder = storage.join(output, PREDICTIONS)
    for run in storage.list_names(folder):
        if run not in {one for one, _ in stays}:
            storage.remove(storage.join(folder, run))
            continue
        for name in storage.list_names(storage.join(folder, run)):
            if (run, name) not in stays:
                storage.remove(storage.join(folder, run, name))
    for version in storage.list_names(storage.join(output, MODEL)):
        if version != result["model_version"]:
            storage.remove(storage.join(output, MODEL, version))
