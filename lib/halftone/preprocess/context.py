"""What all steps of one preprocessing run share."""

from __future__ import annotations

from typing import NamedTuple, Optional

from pyspark.sql import SparkSession

from halftone import storage
from halftone.config import Config
from halftone.dataset.manifest import Manifest
from halftone.preprocess import staging
from halftone.preprocess.catalogue import Catalogue
from halftone.preprocess.delta import Delta
from halftone.preprocess.previous_version import VersionFile
from halftone.spark.local_frame import are_few


class PreprocessContext(NamedTuple):
    """The settings, inputs and target of one preprocessing run."""

    session: SparkSession
    config: Config
    catalogue: Catalogue  # all images of the input folder
    dataset: str  # URL of the dataset's folder
    run_name: str  # names the files that this run writes, see staging.compute_run_name
    previous_manifest: Optional[Manifest]  # of the version that this run updates
    files: list[VersionFile]  # of that version
    delta: Delta  # what differs from that version

    def session_for(self, num_rows: int) -> Optional[SparkSession]:
        """Return the session for work on what is known of `num_rows` images; None if they are few.

        See LocalFrame.
        """
        return None if are_few(num_rows) else self.session

    @property
    def folder(self) -> str:
        """URL of the folder for what this run stages."""
        return storage.join(self.dataset, staging.FOLDER, self.run_name)

    @property
    def previous_labels(self) -> list[str]:
        return self.previous_manifest.labels if self.previous_manifest else []

    @property
    def num_inputs(self) -> int:
        """The number of rows, rejects and duplicates that must result."""
        num_previous = self.previous_manifest.inputs if self.previous_manifest else 0
        num_new = self.delta.num_read + self.delta.num_moved + self.delta.num_unusable
        return num_previous - self.delta.num_left_out + num_new
