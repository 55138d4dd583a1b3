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
from halftone.images import PixelSpec
from halftone.model_directory import Card
from halftone.preprocess import catalogue, changes, listing, staging
from halftone.preprocess.changes import LISTED
from halftone.preprocess.decode_block import PART_NAME
from halftone.scoring import predictions, previous_predictions, scores_directory, spark_scorer
from halftone.scoring.fit_thresholds import check, check_classes, need_validation, settled
from halftone.scoring.image_task import REJECTS, score_piece
from halftone.scoring.predict import Work
from halftone.scoring.predictions import Scored
from halftone.scoring.previous_predictions import Kept
from halftone.scoring.scores_directory import PREDICTIONS
from halftone.spark import tasks
from halftone.spark.session import num_cores


class _Found(NamedTuple):
    """The images that there are."""

    root: str
    entries: pa.Table  # catalogue.ENTRIES; the label is empty where it is not known
    ignored: dict[str, int]  # number of files by an ending that is not an image's

    def listed(self) -> pa.Table:
        """Return LISTED."""
        keys = arrow.of_texts(
            storage.join(self.root, path) for (path,) in arrow.rows(self.entries, "path")
        )
        return pa.table([keys, self.entries["size_bytes"], self.entries["modified"]], schema=LISTED)


def score(
    config: Config, images: str, model: str, output: str, session: Callable[[], SparkSession]
) -> dict[str, Any]:
    """Score the images below `images` and return what metrics.json at `output` holds.

    Args:
        session: gives the SparkSession; called only where there is work for it.

    Raises:
        InputError: there are no images, or the settings need what is not there.
        RunError: an image got lost on the way, which must never be.
    """
    images, model, output = map(storage.normalise, (images, model, output))
    started = time.monotonic()
    settings, card = config.score, model_directory.read_card(model)
    data = _validation_data(config, card, model)
    found = _found(images, config, card)
    listed = found.listed()
    basis = scores_directory.basis(card, settings, data.fingerprint if data else None)
    standing = scores_directory.standing(output)
    is_going_on = settings.only_new and standing.get("basis") == basis
    kept = previous_predictions.read(output, standing if is_going_on else {})
    delta = changes.compare(listed, kept.known(), arrow.of_texts(()))
    run = _run_name(basis, found, kept)
    if standing.get("run") == run or (is_going_on and delta.is_empty):
        return standing
    spark = session()
    work = _work(spark, config, card, model, data)
    kept = previous_predictions.without(kept, delta.forget, output, run)
    entries = arrow.where(found.entries, arrow.is_in(listed["key"], delta.read))
    made = _score(spark, config, card, work, found.root, entries, output, run, list(kept.rows))
    rejects = made.rejects + kept.reasons()
    expected = entries.num_rows + kept.num_images
    if made.rows + sum(rejects.values()) != expected:
        raise RunError(
            f"{made.rows} rows and {sum(rejects.values())} rejects came of {expected} images; "
            f"nothing was published. Remove {output} and run again"
        )
    own = storage.list_names(storage.join(output, PREDICTIONS, run))
    files = {
        "predictions": [*kept.rows, *_named(own, run, PART_NAME, kept.rows)],
        "rejects_files": [*kept.rejects, *_named(own, run, REJECTS, kept.rejects)],
    }
    known = int(made.tally.confusion.sum())
    result = {
        "run": run,
        "basis": basis,
        "images": found.root,
        "inputs": expected,
        "scored_now": entries.num_rows,
        "rows": made.rows,
        "rejects": sum(rejects.values()),
        "rejects_by_reason": dict(sorted(rejects.items())),
        "ignored": found.ignored,
        "predicted": {label: made.predicted[label] for label in card.labels},
        "labelled": known,
        "metrics": scores_directory.figures(made, work, settings) if known else None,
        "model_version": card.version,
        **files,
        "scored_at": datetime.now(timezone.utc).isoformat(timespec="seconds"),
        "secs": round(time.monotonic() - started, 3),
    }
    scores_directory.publish(output, result, [*files["predictions"], *files["rejects_files"]])
    return result


def _validation_data(config: Config, card: Card, model: str) -> Optional[Manifest]:
    """The dataset by whose validation split threshold and temperature are found, if they are."""
    if not need_validation(config.score):
        check_classes(config.score, len(card.labels))
        return None
    if config.paths.dataset is None:
        raise InputError(
            "score.calibrate and a score.threshold that is chosen need the validation split of a "
            "dataset; give it as --dataset"
        )
    data = manifest.read(config.paths.dataset)
    model_directory.check_fits(card, data, model, config.paths.dataset)
    check(config.score, data)
    return data


def _found(root: str, config: Config, card: Card) -> _Found:
    listed = listing.of(root, config.score.catalogue, config.preprocess.suffixes)
    if listed.not_text:
        shown = listed.not_text[0].path.encode("utf-8", "backslashreplace").decode()
        raise InputError(
            f"{root}: the names of {len(listed.not_text)} images are not UTF-8 text, such as "
            f"{shown}; rename them"
        )
    files = catalogue.labelled(listed, config.preprocess.label_from)
    if listed.has_labels:
        _check_labels(str(config.score.catalogue), files["label"], card)
    places = arrow.places(files["label"], arrow.of_text(card.labels))
    # The name of a folder need not be a class.
    names = arrow.of_text([*card.labels, ""])
    rows = np.where(places < 0, len(card.labels), places)
    labels = pc.take(names, arrow.of_numbers(rows, pa.int64()))
    split = arrow.of_numbers(np.zeros(files.num_rows), pa.int8())  # they are of none
    entries = pa.table(
        [files["path"], labels, split, files["size_bytes"], files["modified"]],
        schema=catalogue.ENTRIES,
    )
    return _Found(root, entries, listed.ignored)


def _check_labels(table: str, labels: pa.ChunkedArray, card: Card) -> None:
    others = sorted(set(pc.unique(labels).to_pylist()) - {*card.labels, ""})
    if others:
        raise InputError(
            f"{table}: the label {others[0]!r} is no class of the model, which knows "
            f"{', '.join(card.labels)}; correct it, or leave it empty where it is not known"
        )


def _run_name(basis: str, found: _Found, kept: Kept) -> str:
    digest = hashlib.blake2b(digest_size=8)
    arrow.update_digest(digest, found.entries)
    return scores_directory.named(basis, found.root, digest.hexdigest(), *kept.rows, *kept.rejects)


def _work(
    spark: SparkSession, config: Config, card: Card, model: str, data: Optional[Manifest]
) -> Work:
    dataset = storage.normalise(config.paths.dataset or "")
    own = spark_scorer.of(spark, dataset, card, model, config.score.batch_size)
    return settled(own, config.score, data).work


def _score(
    spark: SparkSession,
    config: Config,
    card: Card,
    work: Work,
    root: str,
    entries: pa.Table,
    output: str,
    run: str,
    kept: list[str],
) -> Scored:
    """Score the entries into files of this run, and count them and those of the files `kept`."""
    cores, folder = num_cores(spark), storage.join(output, PREDICTIONS, run)
    pixels = PixelSpec(**card.pixels.model_dump())
    blocks, num_blocks = staging.plan_work(
        root, entries, pixels, config.preprocess.read_threads, folder, cores
    )
    blocks = blocks._replace(parts=folder)
    pieces = [*range(num_blocks), *(storage.join(output, file) for file in kept)]
    return tasks.merged(
        spark,
        partial(score_piece, work, blocks, pieces),
        predictions.total,
        len(pieces),
        slices=staging.num_slices(entries.num_rows, cores),
        what="score",
        total=entries.num_rows,
        unit="images",
        done=lambda: entries.num_rows * staging.num_parts(blocks) // max(1, num_blocks),
    )


def _named(names: list[str], run: str, start: str, kept: Iterable[str]) -> list[str]:
    """The paths of those of a run's files whose names begin so, but for those that are kept."""
    found = (storage.join(PREDICTIONS, run, name) for name in names if name.startswith(start))
    return [path for path in found if path not in set(kept)]
