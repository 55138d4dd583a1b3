"""Raw images to predictions: decoded as for training, and scored, in one go.

Every image ends as a prediction or as a reject. What an earlier run has scored by the same model
stays as it is where `score.only_new` asks for that.
"""

from __future__ import annotations

import hashlib
import time
from collections.abc import Iterable
from datetime import datetime, timezone
from functools import partial
from typing import Any, Callable, NamedTuple, Optional

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from pyspark.sql import SparkSession

from halftone import arrow, model_directory, storage
from halftone.config import Config
from halftone.dataset import manifest
from halftone.dataset.manifest import Manifest
from halftone.errors import InputError, RunError
from halftone.model_directory import ModelInfo
from halftone.preprocess import catalogue, changes, listing, staging
from halftone.preprocess.changes import LISTED_IMAGES
from halftone.preprocess.decode_block import PART_NAME
from halftone.scoring import predictions, previous_predictions, scores_directory, spark_scorer
from halftone.scoring.fit_thresholds import (
    check_dataset,
    check_num_classes,
    fit_scorer,
    needs_validation_split,
)
from halftone.scoring.image_task import REJECTS_PREFIX, score_block_or_file
from halftone.scoring.predict import PredictorSettings
from halftone.scoring.predictions import PredictionSummary
from halftone.scoring.previous_predictions import PreviousPredictions
from halftone.scoring.scores_directory import PREDICTIONS
from halftone.spark import tasks
from halftone.spark.session import num_cores


class _ImageListing(NamedTuple):
    """The images that there are."""

    root: str
    entries: pa.Table  # catalogue.ENTRIES; the label is empty where it is not known
    ignored: dict[str, int]  # number of files by an ending that is not an image's

    def listed_table(self) -> pa.Table:
        """Return LISTED."""
        keys = arrow.chunked_string_array(
            storage.join(self.root, path) for (path,) in arrow.iter_rows(self.entries, "path")
        )
        return pa.table(
            [keys, self.entries["size_bytes"], self.entries["modified"]], schema=LISTED_IMAGES
        )


def score_images(
    config: Config, images: str, model: str, output: str, session: Callable[[], SparkSession]
) -> dict[str, Any]:
    """Score the images below `images` and return what metrics.json at `output` holds.

    Args:
        session: gives the SparkSession; called only where there is work for it.

    Raises:
        InputError: there are no images, or the settings need what is not there.
        RunError: an image got lost on the way, which must never be.
    """
    images, model, output = map(storage.normalise_url, (images, model, output))
    started = time.monotonic()
    settings, card = config.score, model_directory.read_model_info(model)
    data = _read_validation_dataset(config, card, model)
    found = _list_images(images, config, card)
    listed = found.listed_table()
    basis = scores_directory.scoring_fingerprint(card, settings, data.fingerprint if data else None)
    standing = scores_directory.read_previous_metrics(output)
    is_going_on = settings.only_new and standing.get("basis") == basis
    kept = previous_predictions.read_previous_predictions(output, standing if is_going_on else {})
    delta = changes.find_changes(listed, kept.known_images(), arrow.chunked_string_array(()))
    run = _run_name(basis, found, kept)
    if standing.get("run") == run or (is_going_on and delta.is_empty):
        return standing
    spark = session()
    work = _build_predictor(spark, config, card, model, data)
    kept = previous_predictions.drop_images(kept, delta.to_remove, output, run)
    entries = arrow.filter_rows(found.entries, arrow.is_in(listed["key"], delta.to_read))
    made = _score_entries(
        spark, config, card, work, found.root, entries, output, run, list(kept.predictions)
    )
    rejects = made.counts_by_reason + kept.count_by_reason()
    expected = entries.num_rows + kept.num_images
    if made.num_rows + sum(rejects.values()) != expected:
        raise RunError(
            f"{made.num_rows} rows and {sum(rejects.values())} rejects came of {expected} images; "
            f"nothing was published. Remove {output} and run again"
        )
    own = storage.list_names(storage.join(output, PREDICTIONS, run))
    files = {
        "predictions": [*kept.predictions, *_run_files(own, run, PART_NAME, kept.predictions)],
        "rejects_files": [*kept.rejects, *_run_files(own, run, REJECTS_PREFIX, kept.rejects)],
    }
    known = int(made.accumulator.confusion.sum())
    result = {
        "run": run,
        "basis": basis,
        "images": found.root,
        "inputs": expected,
        "scored_now": entries.num_rows,
        "rows": made.num_rows,
        "rejects": sum(rejects.values()),
        "rejects_by_reason": dict(sorted(rejects.items())),
        "ignored": found.ignored,
        "predicted": {label: made.counts_by_class[label] for label in card.labels},
        "labelled": known,
        "metrics": scores_directory.compute_metrics(made, work, settings) if known else None,
        "model_version": card.version,
        **files,
        "scored_at": datetime.now(timezone.utc).isoformat(timespec="seconds"),
        "secs": round(time.monotonic() - started, 3),
    }
    scores_directory.publish_scores(
        output, result, [*files["predictions"], *files["rejects_files"]]
    )
    return result


def _read_validation_dataset(
    config: Config, model_info: ModelInfo, model: str
) -> Optional[Manifest]:
    """The dataset by whose validation split threshold and temperature are found, if they are."""
    if not needs_validation_split(config.score):
        check_num_classes(config.score, len(model_info.labels))
        return None
    if config.paths.dataset is None:
        raise InputError(
            "score.calibrate and a score.threshold that is chosen need the validation split of a "
            "dataset; give it as --dataset"
        )
    data = manifest.read_manifest(config.paths.dataset)
    model_directory.check_model_fits(model_info, data, model, config.paths.dataset)
    check_dataset(config.score, data)
    return data


def _list_images(root: str, config: Config, model_info: ModelInfo) -> _ImageListing:
    listed = listing.list_images(root, config.score.catalogue, config.preprocess.suffixes)
    if listed.non_utf8_files:
        shown = listed.non_utf8_files[0].path.encode("utf-8", "backslashreplace").decode()
        raise InputError(
            f"{root}: the names of {len(listed.non_utf8_files)} images are not UTF-8 text, such as "
            f"{shown}; rename them"
        )
    files = catalogue.add_labels(listed, config.preprocess.label_from)
    if listed.has_labels:
        _check_labels(str(config.score.catalogue), files["label"], model_info)
    places = arrow.index_in(files["label"], arrow.string_array(model_info.labels))
    # The name of a folder need not be a class.
    names = arrow.string_array([*model_info.labels, ""])
    rows = np.where(places < 0, len(model_info.labels), places)
    labels = pc.take(names, arrow.number_array(rows, pa.int64()))
    split = arrow.number_array(np.zeros(files.num_rows), pa.int8())  # they are of none
    entries = pa.table(
        [files["path"], labels, split, files["size_bytes"], files["modified"]],
        schema=catalogue.ENTRIES,
    )
    return _ImageListing(root, entries, listed.ignored)


def _check_labels(catalogue_url: str, labels: pa.ChunkedArray, model_info: ModelInfo) -> None:
    others = sorted(set(pc.unique(labels).to_pylist()) - {*model_info.labels, ""})
    if others:
        raise InputError(
            f"{catalogue_url}: the label {others[0]!r} is no class of the model, which knows "
            f"{', '.join(model_info.labels)}; correct it, or leave it empty where it is not known"
        )


def _run_name(
    scoring_fingerprint: str, image_listing: _ImageListing, previous: PreviousPredictions
) -> str:
    digest = hashlib.blake2b(digest_size=8)
    arrow.update_digest(digest, image_listing.entries)
    return scores_directory.hash_parts(
        scoring_fingerprint,
        image_listing.root,
        digest.hexdigest(),
        *previous.predictions,
        *previous.rejects,
    )


def _build_predictor(
    spark: SparkSession, config: Config, model_info: ModelInfo, model: str, data: Optional[Manifest]
) -> PredictorSettings:
    dataset = storage.normalise_url(config.paths.dataset or "")
    own = spark_scorer.build_scorer(spark, dataset, model_info, model, config.score.batch_size)
    return fit_scorer(own, config.score, data).predictor


def _score_entries(
    spark: SparkSession,
    config: Config,
    model_info: ModelInfo,
    predictor: PredictorSettings,
    root: str,
    entries: pa.Table,
    output: str,
    run: str,
    previous_files: list[str],
) -> PredictionSummary:
    """Score the entries into files of this run, and count them and those of the files `kept`."""
    cores, folder = num_cores(spark), storage.join(output, PREDICTIONS, run)
    pixels = model_info.pixels
    blocks, num_blocks = staging.plan_blocks(
        root, entries, pixels, config.preprocess.read_threads, folder, cores
    )
    blocks = blocks._replace(parts=folder)
    pieces = [*range(num_blocks), *(storage.join(output, file) for file in previous_files)]
    return tasks.run_and_merge(
        spark,
        partial(score_block_or_file, predictor, blocks, pieces),
        predictions.merge_summaries,
        len(pieces),
        num_slices=staging.num_slices(entries.num_rows, cores),
        progress=tasks.TaskProgress(
            "score",
            entries.num_rows,
            "images",
            lambda: entries.num_rows * staging.num_parts(blocks) // max(1, num_blocks),
        ),
    )


def _run_files(names: list[str], run: str, prefix: str, previous_files: Iterable[str]) -> list[str]:
    """The paths of those of a run's files whose names begin so, but for those that are kept."""
    found = (storage.join(PREDICTIONS, run, name) for name in names if name.startswith(prefix))
    return [path for path in found if path not in set(previous_files)]
