"""The catalogue of a folder, made in this process as Spark's workers would make it."""

from __future__ import annotations

import tempfile
from collections import namedtuple
from typing import Any, NamedTuple, Optional

from pyspark.sql import SparkSession

from halftone.config import Config
from halftone.dataset.manifest import Manifest
from halftone.listing import plan_listing
from halftone.preprocess import catalogue
from halftone.preprocess.assignment import AssignmentRules
from halftone.preprocess.catalogue import UNIT_RESULTS, Catalogue

_UnitResult = namedtuple("_UnitResult", UNIT_RESULTS.names)


class ListedImages(NamedTuple):
    catalogue: Catalogue
    entries: list[dict[str, Any]]  # usable images in the order of the dataset
    rejects: list[dict[str, Any]]  # by path


def list_images(
    root: str,
    config: Config,
    require_classes: bool = True,
    previous: Optional[Manifest] = None,
) -> ListedImages:
    """List the images below `root`.

    Raises:
        InputError: as `build_catalogue`.
    """
    plan = plan_listing(root, config.preprocess.catalogue, config.preprocess.suffixes)
    rules = AssignmentRules.from_config(config, plan.has_labels)
    with tempfile.TemporaryDirectory() as folder:
        results = [
            _UnitResult(*row)
            for unit in plan.units.to_pylist()
            for row in catalogue.write_unit(plan, rules, folder, **unit)
        ]
        images = catalogue.combine_units(plan, config, results, require_classes=require_classes)
        images = catalogue.stratify_classes(_no_session, images, config, previous)
        rows = [row for url in images.parts for row in read_part(images, url)]
    entries = [row for row in rows if not row["reason"]]
    return ListedImages(
        images,
        sorted(entries, key=lambda row: (row["split"], row["position"])),
        sorted((row for row in rows if row["reason"]), key=lambda row: row["path"]),
    )


def _no_session() -> SparkSession:
    raise AssertionError("few images need no Spark")


def read_part(images: Catalogue, url: str) -> list[dict[str, Any]]:
    tables = catalogue.read_part(images.root, images.final_splits, url)
    return [row for table in tables for row in table.to_pylist()]
