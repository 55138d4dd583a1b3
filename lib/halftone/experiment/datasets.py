"""The datasets of an experiment; runs with the same images, pixels and splits share one."""

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

from halftone import arrow, printable, storage
from halftone.config import Config
from halftone.config.effects import reset_neutral_settings
from halftone.dataset import splits
from halftone.errors import InputError
from halftone.preprocess import catalogue, listing
from halftone.preprocess.run import preprocess

DATASETS_FOLDER, SUBSETS_FOLDER = "datasets", "subsets"
_DATASET_SECTIONS = {"seed", "pixels", "splits", "preprocess"}


class ExperimentDataset(NamedTuple):
    url: str
    fingerprint: str
    row_counts: dict[str, int]  # by split


def dataset_key(config: Config) -> str:
    """Return a digest of the settings that determine the rows of a dataset."""
    settings = reset_neutral_settings(config).model_dump(mode="json", include=_DATASET_SECTIONS)
    images = storage.normalise_url(str(config.paths.images))
    text = json.dumps({**settings, "images": images}, sort_keys=True)
    return hashlib.blake2b(text.encode(), digest_size=8).hexdigest()


class DatasetCache:
    """The datasets of an experiment, each made or updated when it is first needed.

    Args:
        output: URL of the output of the experiment.
        session_factory: Opens the SparkSession, which is closed when the datasets are made.
    """

    def __init__(
        self, output: str, session_factory: Callable[[], AbstractContextManager[SparkSession]]
    ) -> None:
        self._output, self._session_factory = output, session_factory
        self._datasets: dict[str, ExperimentDataset] = {}
        self._lock = threading.Lock()

    def get(self, config: Config) -> ExperimentDataset:
        """Return the dataset of a config. Raises InputError or RunError if it cannot be made."""
        self.prepare([config])
        return self._datasets[dataset_key(config)]

    def prepare(self, configs: Sequence[Config]) -> None:
        """Make the datasets of all configs. Raises InputError or RunError if one cannot be made."""
        with self._lock, ExitStack() as stack:
            session = cache(lambda: stack.enter_context(self._session_factory()))
            for config in configs:
                key = dataset_key(config)
                if key in self._datasets:
                    continue
                url = storage.join(self._output, DATASETS_FOLDER, key)
                printable.print_line(f"dataset: {url}")
                manifest, _ = preprocess(config, str(config.paths.images), url, session)
                row_counts = {
                    split: sum(class_counts.values())
                    for split, class_counts in manifest.counts.items()
                }
                self._datasets[key] = ExperimentDataset(url, manifest.fingerprint, row_counts)


def apply_subset(config: Config, output: str, num_images: int) -> Config:
    """Return the config with a catalogue of at most `num_images` images, equally many per class.

    The catalogue is written once, below `output`; images that arrive later do not change it.

    Raises:
        InputError: `num_images` is less than one image per class.
    """
    url = storage.join(output, SUBSETS_FOLDER, f"{dataset_key(config)}-{num_images}.parquet")
    if not storage.exists(url):
        storage.write_table(url, _select_subset(config, num_images))
    preprocess_settings = config.preprocess.model_copy(update={"catalogue": url})
    return config.model_copy(update={"preprocess": preprocess_settings})


def _select_subset(config: Config, num_images: int) -> pa.Table:
    root, settings = storage.normalise_url(str(config.paths.images)), config.preprocess
    listed = listing.list_images(root, settings.catalogue, settings.suffixes)
    files = catalogue.add_labels(listed, settings.label_from)
    # Hashes and row numbers, by label.
    rows_by_label: dict[str, list[tuple[int, int]]] = defaultdict(list)
    for row, (path, label) in enumerate(arrow.iter_rows(files, "path", "label")):
        if label:
            digest = splits.hash_to_uint64(path, config.seed, "subset")
            rows_by_label[label].append((digest, row))
    num_classes = len(rows_by_label)
    images_per_class = num_images // max(1, num_classes)
    if rows_by_label and images_per_class < 1:
        raise InputError(
            f"{root}: --subset {num_images} is less than one image for each of {num_classes} "
            f"classes; use {num_classes} or more"
        )
    return arrow.take_rows(
        files,
        [row for rows in rows_by_label.values() for _, row in sorted(rows)[:images_per_class]],
    )
