"""The datasets of an experiment: one for all runs whose images, pixels and splits are the same."""

from __future__ import annotations

import hashlib
import json
import threading
from collections import defaultdict
from collections.abc import Sequence
from contextlib import AbstractContextManager, ExitStack
from functools import cache
from typing import Callable, NamedTuple

import pyarrow as pa
from pyspark.sql import SparkSession

from halftone import arrow, storage
from halftone.config import Config
from halftone.dataset import splits
from halftone.errors import InputError
from halftone.preprocess import catalogue, listing
from halftone.preprocess.run import preprocess

DATASETS_FOLDER, _SUBSETS_FOLDER = "datasets", "subsets"


class ExperimentDataset(NamedTuple):
    url: str
    fingerprint: str
    row_counts: dict[str, int]  # by split


def dataset_key(config: Config) -> str:
    """Name what decides which rows a dataset has."""
    settings = config.model_dump(mode="json", include={"seed", "pixels", "splits", "preprocess"})
    images = storage.normalise_url(str(config.paths.images))
    text = json.dumps({**settings, "images": images}, sort_keys=True)
    return hashlib.blake2b(text.encode(), digest_size=8).hexdigest()


class DatasetCache:
    """Those of an experiment, each made or brought up to date when it is first asked for.

    Args:
        session: gives the SparkSession, for as long as it takes to make datasets.
    """

    def __init__(
        self, output: str, session_factory: Callable[[], AbstractContextManager[SparkSession]]
    ) -> None:
        self._output, self._session_factory = output, session_factory
        self._datasets: dict[str, ExperimentDataset] = {}
        self._lock = threading.Lock()

    def get(self, config: Config) -> ExperimentDataset:
        """Raises InputError, RunError where it cannot be made."""
        self.prepare([config])
        return self._datasets[dataset_key(config)]

    def prepare(self, configs: Sequence[Config]) -> None:
        """Make all that the configs need. Raises InputError, RunError where one cannot be made."""
        with self._lock, ExitStack() as stack:
            session = cache(lambda: stack.enter_context(self._session_factory()))
            for config in configs:
                key = dataset_key(config)
                if key in self._datasets:
                    continue
                url = storage.join(self._output, DATASETS_FOLDER, key)
                print(f"dataset: {url}", flush=True)
                manifest, _ = preprocess(config, str(config.paths.images), url, session)
                rows = {split: sum(own.values()) for split, own in manifest.counts.items()}
                self._datasets[key] = ExperimentDataset(url, manifest.fingerprint, rows)


def apply_subset(config: Config, output: str, num_images: int) -> Config:
    """Return the config with a catalogue of `num_images` images, as many of each class.

    The catalogue is written once, below `output`; images that arrive later do not change it.

    Raises:
        InputError: that is less than one image a class.
    """
    url = storage.join(output, _SUBSETS_FOLDER, f"{dataset_key(config)}-{num_images}.parquet")
    if not storage.exists(url):
        storage.write_table(url, _select_subset(config, num_images))
    changed = config.preprocess.model_copy(update={"catalogue": url})
    return config.model_copy(update={"preprocess": changed})


def _select_subset(config: Config, num_images: int) -> pa.Table:
    root, settings = storage.normalise_url(str(config.paths.images)), config.preprocess
    listed = listing.list_images(root, settings.catalogue, settings.suffixes)
    files = catalogue.add_labels(listed, settings.label_from)
    rows: dict[str, list[tuple[int, int]]] = defaultdict(list)
    for row, (path, label) in enumerate(arrow.iter_rows(files, "path", "label")):
        if label:
            rows[label].append((splits.hash_to_uint64(path, config.seed, "subset"), row))
    each = num_images // max(1, len(rows))
    if rows and each < 1:
        raise InputError(
            f"{root}: --subset {num_images} is less than one image for each of {len(rows)} "
            f"classes; give {len(rows)} or more"
        )
    return arrow.take_rows(files, [row for own in rows.values() for _, row in sorted(own)[:each]])
