"""The test images that a run classified wrongly, those with the surest wrong answer first."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple, Optional

import numpy as np
import pyarrow as pa

from halftone import arrow, storage
from halftone.dataset import manifest, schema
from halftone.dataset.manifest import Manifest
from halftone.errors import InputError
from halftone.experiment import datasets, trial
from halftone.experiment.outcomes import RunOutcome
from halftone.experiment.page.runs import list_training_folders, read_metrics
from halftone.experiment.rows import RunRow
from halftone.metrics.examples import Example, Examples
from halftone.metrics.model import SplitScores
from halftone.report import measures, pictures
from halftone.scoring import predictions
from halftone.scoring.predict import PredictorSettings

MAX_PICTURES = 12  # of a run


class ShardLocation(NamedTuple):
    """Where a shard is."""

    url: str
    dataset: Manifest


class RunMistakes(NamedTuple):
    num_wrong: int
    num_rows: int
    examples: tuple[Example, ...]
    folder: str  # of the images


class MistakesGallery(NamedTuple):
    """A run's mistakes as the page shows them."""

    run: str
    num_wrong: int
    num_rows: int
    pictures: list[dict[str, Any]]


def locate_shards(output: str) -> dict[str, ShardLocation]:
    """All shards of the experiment's datasets, by their digest."""
    found = {}
    for name in storage.list_names(storage.join(output, datasets.DATASETS_FOLDER)):
        root = storage.join(output, datasets.DATASETS_FOLDER, name)
        try:
            data = manifest.read_manifest(root)
        except InputError:  # one that was never finished has nothing to show
            continue
        found.update(
            {
                shard.digest: ShardLocation(storage.join(root, shard.path), data)
                for shard in data.files
            }
        )
    return found


def find_mistakes(
    outcome: RunOutcome, shards: Mapping[str, ShardLocation]
) -> Optional[RunMistakes]:
    """What a run, or its first fold, got wrong; None where it was not scored."""
    kept = read_metrics(outcome)
    if kept is None:
        return None
    scores = storage.join(list_training_folders(outcome)[0], trial.SCORES)
    found, folder = Examples(), ""
    for digest, file in zip(kept.shards or [], kept.predictions):
        place = shards.get(digest)
        url = storage.join(scores, file)
        # Someone may have made room on the disk: then there is less to see.
        if place is not None and storage.exists(url) and storage.exists(place.url):
            found += _find_mistakes_in_shard(storage.read_table(url), place, kept)
            folder = place.dataset.images
    return RunMistakes(
        kept.rows - kept.num_correct, kept.rows, found.mistakes[:MAX_PICTURES], folder
    )


def _find_mistakes_in_shard(
    table: pa.Table, location: ShardLocation, metrics: SplitScores
) -> Examples:
    labels = arrow.string_array(metrics.labels)
    label_ids, predicted_ids = (
        arrow.index_in(table[name], labels) for name in (schema.LABEL, schema.PREDICTION)
    )
    wrong = np.flatnonzero(label_ids != predicted_ids)
    if not len(wrong):
        return Examples()
    images = storage.read_table(location.url, [schema.IMAGE])[schema.IMAGE]
    shape = location.dataset.shape()
    work = PredictorSettings(
        network="",  # nothing is predicted again
        version=metrics.model_version,
        labels=tuple(metrics.labels),
        shape=shape,
        batch_size=1,
        threads=1,
        threshold=measures.decision_threshold(metrics),
    )
    pixels = arrow.view_images(images, shape)[wrong]
    return predictions.summarise_predictions(
        work, arrow.take_rows(table, wrong), pixels=pixels
    ).examples


def build_galleries(
    run_rows: Sequence[RunRow], mistakes_by_run: Sequence[Optional[RunMistakes]], max_side_px: int
) -> list[MistakesGallery]:
    """A line for each run that was scored."""
    return [
        MistakesGallery(
            row.name(),
            made.num_wrong,
            made.num_rows,
            pictures.embed_examples(made.examples, made.folder, max_side_px),
        )
        for row, made in zip(run_rows, mistakes_by_run)
        if made is not None
    ]
