"""The datasets of an experiment; runs with the same images, pixels and splits share one."""

from __future__ import annotations

import hashlib
import heapq
import json
import threading
from collections import defaultdict
from collections.abc import Iterator, Sequence
from contextlib import AbstractContextManager, ExitStack
from functools import cache
from typing import Any, Callable, NamedTuple

import numpy as np
import numpy.typing as npt
import pyarrow as pa
from pyspark.sql import SparkSession

from halftone import arrow, printable, storage
from halftone.config import Config
from halftone.config.effects import drop_added_defaults, reset_neutral_settings
from halftone.dataset import splits
from halftone.errors import InputError
from halftone.listing import (
    REASON,
    TABLE_COLUMNS,
    ListingPlan,
    UnitRemarks,
    add_archives,
    list_unit,
    plan_configured,
    summarise_listing,
)
from halftone.preprocess.assignment import find_labels
from halftone.preprocess.run import preprocess
from halftone.spark.frames import build_table

DATASETS_FOLDER, SUBSETS_FOLDER = "datasets", "subsets"
_DATASET_SECTIONS = {"seed", "pixels", "splits", "preprocess"}


class ExperimentDataset(NamedTuple):
    url: str
    fingerprint: str
    row_counts: dict[str, int]  # by split


def dataset_key(config: Config) -> str:
    """Return a digest of the settings that determine the rows of a dataset."""
    settings = drop_added_defaults(
        config,
        reset_neutral_settings(config).model_dump(mode="json", include=_DATASET_SECTIONS),
    )
    images = storage.normalise_url(str(config.paths.images))
    settings = {
        **settings,
        "pixels": config.pixels.identity(),
        "preprocess": config.preprocess.identify(settings["preprocess"]),
        "images": images,
    }
    text = json.dumps(settings, sort_keys=True)
    return hashlib.blake2b(text.encode(), digest_size=8).hexdigest()


def dataset_url(output: str, config: Config) -> str:
    """Return the URL of the dataset of a config, below the output of the experiment."""
    return storage.join(output, DATASETS_FOLDER, dataset_key(config))


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
                url = dataset_url(self._output, config)
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
    update: dict[str, Any] = dict.fromkeys(("label_column", "catalogue_query"))
    update.update(catalogue=url, catalogue_boxes=False)
    preprocess_settings = config.preprocess.model_copy(update=update)
    return config.model_copy(update={"preprocess": preprocess_settings})


def _select_subset(config: Config, num_images: int) -> pa.Table:
    """Return the images of each class with the least hashes, as listing.TABLE_COLUMNS."""
    root, settings = storage.normalise_url(str(config.paths.images)), config.preprocess
    plan = plan_configured(root, settings)
    remarks = UnitRemarks()
    rows_by_label: dict[str, list[tuple[Any, ...]]] = defaultdict(list)
    for unit in _iter_units(plan, remarks):
        for listed in list_unit(plan, remarks, **unit):
            images = arrow.filter_rows(listed, _is_readable(listed))
            labels = find_labels(images, settings.label_from, plan.has_labels)
            for label, row in zip(labels, arrow.iter_rows(images, *TABLE_COLUMNS.names)):
                if label:
                    digest = splits.hash_to_uint64(row[0], config.seed, "subset")
                    path, _, *others = row
                    rows_by_label[label].append((digest, path, label, *others))
            # The limit never grows, so that no image that is left out here is needed later.
            limit = num_images // max(1, len(rows_by_label))
            for label, rows in rows_by_label.items():
                rows_by_label[label] = heapq.nsmallest(limit, rows)
    summarise_listing(plan, remarks)
    num_classes = len(rows_by_label)
    if rows_by_label and num_images < num_classes:
        raise InputError(
            f"{root}: --subset {num_images} is less than one image for each of {num_classes} "
            f"classes; use {num_classes} or more"
        )
    chosen = [row[1:] for label in sorted(rows_by_label) for row in rows_by_label[label]]
    return build_table(chosen, TABLE_COLUMNS)


def _iter_units(plan: ListingPlan, remarks: UnitRemarks) -> Iterator[dict[str, Any]]:
    """Yield all units, then those that list the archives that the others have found."""
    yield from plan.units.to_pylist()
    complete = add_archives(plan, [remarks])
    yield from complete.units.slice(plan.units.num_rows).to_pylist()


def _is_readable(listed: pa.Table) -> npt.NDArray[np.bool_]:
    return arrow.is_in(listed[REASON], arrow.string_array([""]))
