"""What all steps of one preprocessing run share."""

from __future__ import annotations

from typing import NamedTuple, Optional

from pyspark.sql import SparkSession

from halftone.config import Config
from halftone.dataset.manifest import Manifest
from halftone.preprocess.catalogue import Catalogue


class PreprocessContext(NamedTuple):
    """The settings, inputs and target of one preprocessing run."""

    spark: SparkSession
    config: Config
    catalogue: Catalogue  # all images of the input folder
    dataset: str  # URL of the dataset's folder
    run_name: str  # names the files that this run writes, see staging.compute_run_name
    previous_manifest: Optional[Manifest]  # of the version that this run updates
