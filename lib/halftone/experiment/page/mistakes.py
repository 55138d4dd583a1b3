"""The misclassified test images of a run, most confident first."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple, Optional

import numpy as np
import pyarrow as pa

from halftone import arrow, storage
from halftone.dataset import manifest, schema
from halftone.dataset.manifest import Manifest
from halftone.dataset.stored_images import StoredImages
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
    """A shard and the dataset that it belongs to."""

    url: str
    dataset: Manifest


class RunMistakes(NamedTuple):
    """The misclassified test images of a run, or of its first fold."""

    num_wrong: int
    num_rows: int
    examples: tuple[Example, ...]
    folder: str  # of the images


class MistakesGallery(NamedTuple):
    """The mistakes of a run in the form of the page."""

    run: str
    num_wrong: int
    num_rows: int
    pictures: list[dict[str, Any]]


def locate_shards(output: str) -> dict[str, ShardLocation]:
    """Return all shards of the experiment's datasets by their digest."""
    locations = {}
    for name in storage.list_names(storage.join(output, datasets.DATASETS_FOLDER)):
        root = storage.join(output, datasets.DATASETS_FOLDER, name)
        try:
            data = manifest.read_manifest(root)
        except InputError:  # the dataset was never finished
            continue
        locations.update(
            {
                shard.digest: ShardLocation(storage.join(root, shard.path), data)
                for shard in manifest.read_shards(root, data)
            }
        )
    return locations


def find_mistakes(
    outcome: RunOutcome, shards: Mapping[str, ShardLocation]
) -> Optional[RunMistakes]:
    """Return the mistakes of a run, or of its first fold; None if it was not scored."""
    metrics = read_metrics(outcome)
    if metrics is None:
        return None
    scores = storage.join(list_training_folders(outcome)[0], trial.SCORES)
    examples, folder = Examples(), ""
    for digest, file in zip(metrics.shards or [], metrics.predictions):
        location = shards.get(digest)
        url = storage.join(scores, file)
        # Skip files that the user deleted to free disk space.
        if location is not None and storage.exists(url) and storage.exists(location.url):
            examples += _find_mistakes_in_shard(storage.read_table(url), location, metrics)
            folder = location.dataset.images
    return RunMistakes(
        metrics.rows - metrics.num_correct,
        metrics.rows,
        examples.mistakes[:MAX_PICTURES],
        folder,
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
    settings = PredictorSettings(
        network="",  # no prediction is made here
        version=metrics.model_version,
        labels=tuple(metrics.labels),
        shape=location.dataset.shape(),
        batch_size=1,
        threads=1,
        threshold=measures.decision_threshold(metrics),
    )
    pixels = StoredImages(images, location.dataset.pixels, location.url).pixels(wrong)
    return predictions.summarise_predictions(
        settings, arrow.take_rows(table, wrong), pixels=pixels
    ).examples


def build_galleries(
    run_rows: Sequence[RunRow], mistakes_by_run: Sequence[Optional[RunMistakes]], max_side_px: int
) -> list[MistakesGallery]:
    """Build the gallery of each run that was scored."""
    return [
        MistakesGallery(
            row.name(),
            mistakes.num_wrong,
            mistakes.num_rows,
            pictures.embed_examples(mistakes.examples, mistakes.folder, max_side_px),
        )
        for row, mistakes in zip(run_rows, mistakes_by_run)
        if mistakes is not None
    ]
