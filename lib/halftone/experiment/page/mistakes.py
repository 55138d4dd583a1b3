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
from halftone.experiment.outcomes import Outcome
from halftone.experiment.page.runs import folders, metrics
from halftone.experiment.rows import Row
from halftone.metrics.examples import Example, Examples
from halftone.report import measures, pictures
from halftone.scoring import predictions
from halftone.scoring.predict import Work

MOST = 12  # of a run


class Place(NamedTuple):
    """Where a shard is."""

    url: str
    dataset: Manifest


class Mistakes(NamedTuple):
    wrong: int
    rows: int
    examples: tuple[Example, ...]
    folder: str  # of the images


class Line(NamedTuple):
    """A run's mistakes as the page shows them."""

    run: str
    wrong: int
    rows: int
    pictures: list[dict[str, Any]]


def shards(output: str) -> dict[str, Place]:
    """All shards of the experiment's datasets, by their digest."""
    found = {}
    for name in storage.list_names(storage.join(output, datasets.FOLDER)):
        root = storage.join(output, datasets.FOLDER, name)
        try:
            data = manifest.read(root)
        except InputError:  # one that was never finished has nothing to show
            continue
        found.update(
            {shard.digest: Place(storage.join(root, shard.path), data) for shard in data.files}
        )
    return found


def of_run(outcome: Outcome, shards: Mapping[str, Place]) -> Optional[Mistakes]:
    """What a run, or its first fold, got wrong; None where it was not scored."""
    kept = metrics(outcome)
    if kept is None:
        return None
    scores = storage.join(folders(outcome)[0], trial.SCORES)
    found, folder = Examples(), ""
    for digest, file in zip(kept["shards"], kept["predictions"]):
        place = shards.get(digest)
        url = storage.join(scores, file)
        # Someone may have made room on the disk: then there is less to see.
        if place is not None and storage.exists(url) and storage.exists(place.url):
            found += _of_shard(storage.read_table(url), place, kept)
            folder = place.dataset.images
    rows = kept["rows"]
    return Mistakes(rows - measures.right(kept), rows, found.mistakes[:MOST], folder)


def _of_shard(made: pa.Table, place: Place, kept: Mapping[str, Any]) -> Examples:
    labels = arrow.of_text(kept["labels"])
    label_ids, predicted_ids = (
        arrow.places(made[name], labels) for name in (schema.LABEL, schema.PREDICTION)
    )
    wrong = np.flatnonzero(label_ids != predicted_ids)
    if not len(wrong):
        return Examples()
    images = storage.read_table(place.url, [schema.IMAGE])[schema.IMAGE]
    shape = place.dataset.shape()
    work = Work(
        network="",  # nothing is predicted again
        version=kept["model_version"],
        labels=tuple(kept["labels"]),
        shape=shape,
        batch_size=1,
        threads=1,
        threshold=measures.threshold(kept),
    )
    pixels = arrow.pixels(images, shape)[wrong]
    return predictions.of(work, arrow.take(made, wrong), pixels=pixels).examples


def lines(own: Sequence[Row], found: Sequence[Optional[Mistakes]], kept_px: int) -> list[Line]:
    """A line for each run that was scored."""
    return [
        Line(
            row.name(),
            made.wrong,
            made.rows,
            pictures.scored(made.examples, made.folder, kept_px),
        )
        for row, made in zip(own, found)
        if made is not None
    ]
