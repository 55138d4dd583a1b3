"""The scores directory: prediction files, and which of them count.

metrics.json              the metrics; names the prediction files, and is written last
report.html               for people; of raw images too
predictions.csv           of raw images, unless there are many: a row for each, for spreadsheets
model_card.md, .html      what the model is, how it was made, and what it can do on this split
predictions/RUN/*.parquet a row per image, see schema.PREDICTIONS
predictions/_delta_log/   the same files as a Delta table, see scores_tables
predictions/validation-*  predictions of a validation split, until the scores are published
rejects/RUN/*.parquet     raw images that gave no row, see schema.REJECTS
rejects/_delta_log/       the same files as a Delta table
model/VERSION/            the model, if it was fetched from MLflow
_staging/                 what a run over raw images knows of them, until its end
_lock/                    the process that writes here, see halftone.locking
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Sequence, Set
from concurrent.futures import ThreadPoolExecutor
from typing import Any, Optional, TypeVar, Union

from pydantic import ValidationError

from halftone import delta_log, measures, storage
from halftone.config import ScoreSettings
from halftone.config.effects import drop_added_defaults, result_settings
from halftone.dataset import schema
from halftone.errors import InputError
from halftone.locking.lock import LOCK_FOLDER
from halftone.metrics.model import ImageScores, Metrics, SplitScores
from halftone.metrics.summarise import summarise
from halftone.model_directory import FETCHED_MODELS, ModelInfo
from halftone.scoring.predict import PredictorSettings
from halftone.scoring.predictions import PredictionSummary
from halftone.scoring.scores_tables import PREDICTIONS, REJECTS, publish_tables

METRICS = "metrics.json"
REPORT = "report.html"
CSV = "predictions.csv"
STAGING = "_staging"
_READ_THREADS = 8

Scores = TypeVar("Scores", SplitScores, ImageScores)


def scoring_fingerprint(
    model_info: ModelInfo, settings: ScoreSettings, dataset_fingerprint: Optional[str]
) -> str:
    """Return a name for everything that a prediction depends on besides its image.

    Args:
        dataset_fingerprint: of the dataset on whose validation split threshold and temperature are
            fitted; None if they are not fitted.
    """
    return hash_parts(
        schema.SCHEMA_VERSION,
        model_info.version,
        model_info.labels,
        model_info.pixels.identity(),
        drop_added_defaults(settings, result_settings(settings)),
        dataset_fingerprint,
    )


def hash_parts(*parts: Any) -> str:
    """Return a short digest of JSON values."""
    text = json.dumps(parts, sort_keys=True)
    return hashlib.blake2b(text.encode(), digest_size=8).hexdigest()


def compute_metrics(
    prediction_summary: PredictionSummary, predictor: PredictorSettings, settings: ScoreSettings
) -> Metrics:
    """Return the metrics of the rows whose label is known."""
    return summarise(
        prediction_summary.accumulator,
        list(predictor.labels),
        top_ks=settings.top_ks,
        threshold=predictor.threshold,
        rule=str(settings.threshold),
        temperature=predictor.temperature,
    )


def read_split_scores(folder: str) -> SplitScores:
    """Read metrics.json of a scored split.

    Raises:
        FileNotFoundError: there is none.
        ValueError: it is not JSON, or not the scores of a split.
    """
    return SplitScores.model_validate(storage.read_json(storage.join(folder, METRICS)))


def read_previous_scores(output: str, kind: type[Scores]) -> Optional[Scores]:
    """Return the scores of the last run at `output`; None if there are none of this kind.

    Raises:
        InputError: `output` holds something else than scores.
    """
    names = storage.list_names(output)
    if METRICS in names:
        try:
            return kind.model_validate(storage.read_json(storage.join(output, METRICS)))
        except ValidationError:
            return None
    own_names = [PREDICTIONS, REJECTS, FETCHED_MODELS, LOCK_FOLDER, STAGING]
    if PREDICTIONS in names:
        own_names += [REPORT, CSV]  # of a run that was killed before it wrote METRICS
    others = [name for name in names if name not in own_names]
    if others:
        raise InputError(
            f"{output}: exists and holds no scores (it holds {', '.join(others[:3])}"
            f"{', ...' if len(others) > 3 else ''}); give another --output"
        )
    return None


def count_rows(output: str, files: Sequence[str]) -> list[Optional[int]]:
    """Return the rows of each Parquet file below `output`; None if it is missing or damaged."""
    with ThreadPoolExecutor(_READ_THREADS) as pool:
        return list(pool.map(lambda file: storage.count_rows(storage.join(output, file)), files))


def holds_rows(output: str, files: Sequence[str], num_rows: int) -> bool:
    """Return whether all Parquet files are there, with this number of rows together."""
    counts = count_rows(output, files)
    return None not in counts and sum(filter(None, counts)) == num_rows


def has_all_files(output: str) -> bool:
    """Return whether `output` has the scores of a split, with all predictions and the report."""
    try:
        scores = read_split_scores(output)
    except (FileNotFoundError, ValueError):
        return False
    has_all_rows = holds_rows(output, scores.predictions, scores.rows)
    return has_all_rows and REPORT in storage.list_names(output)


def _measure(scores: Union[SplitScores, ImageScores]) -> None:
    """Set the measures of scores, for monitoring."""
    metrics = scores if isinstance(scores, SplitScores) else scores.metrics
    measures.set_value(measures.SCORED_ROWS, scores.rows)
    if isinstance(scores, ImageScores):
        measures.set_value(measures.SCORED_REJECTS, scores.rejects)
    if metrics is not None:
        measures.set_value(measures.SCORES_ACCURACY, metrics.accuracy)
        measures.set_value(measures.SCORES_LOSS, metrics.loss)


def publish_scores(
    output: str, scores: Union[SplitScores, ImageScores], files: Iterable[str]
) -> None:
    """Make `scores` the scores at `output`, and remove files that no longer count.

    Args:
        files: paths below `output` of all files of predictions and rejects to keep.
    """
    storage.write_json(storage.join(output, METRICS), scores.to_json())
    publish_tables(output, scores)
    _measure(scores)
    kept = {tuple(file.split("/")) for file in files}  # (PREDICTIONS or REJECTS, run, name)
    for kind in (PREDICTIONS, REJECTS):
        _remove_others(storage.join(output, kind), {file[1:] for file in kept if file[0] == kind})
    for version in storage.list_names(storage.join(output, FETCHED_MODELS)):
        if version != scores.model_version:
            storage.remove(storage.join(output, FETCHED_MODELS, version))


def _remove_others(folder: str, kept: Set[tuple[str, ...]]) -> None:
    """Remove the files of a folder, but for its log and those that are `kept`: (run, name)."""
    kept_runs = {run for run, _ in kept}
    for run in storage.list_names(folder):
        if run == delta_log.LOG_FOLDER:
            continue
        if run not in kept_runs:
            storage.remove(storage.join(folder, run))
            continue
        for name in storage.list_names(storage.join(folder, run)):
            if (run, name) not in kept:
                storage.remove(storage.join(folder, run, name))
