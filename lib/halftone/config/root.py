"""The whole config: all sections together."""

from __future__ import annotations

import re
from typing import Optional

from pydantic import (
    Field,
    field_validator,
    model_validator,
)

from halftone.config.base import ConfigSection, PathOrUrl, TableOrUrl
from halftone.config.card import CardSettings
from halftone.config.dataset import PixelSpec, PreprocessSettings, SplitSettings
from halftone.config.effects import NOTHING
from halftone.config.monitoring import MonitoringSettings
from halftone.config.retrain import RetrainSettings
from halftone.config.score import ScoreSettings
from halftone.config.storage import StorageSettings
from halftone.config.train import TrainSettings

# Masters that Spark starts with. local[N, F] tries a task F times; local-cluster is for tests.
_MASTER = re.compile(
    r"local(\[\s*(\d+|\*)\s*(,\s*\d+\s*)?\])?|local-cluster\[.+\]|(spark|k8s|mesos)://.+|yarn"
)


class Paths(ConfigSection):
    """Local paths or URLs (s3://, gs://, abfs://, hdfs://); the jobs' flags override them."""

    images: Optional[PathOrUrl] = Field(None, description="folder of raw images, read recursively")
    changes: Optional[PathOrUrl] = Field(
        None,
        description="JSON Lines, a file or a folder: notifications of the store of paths.images; "
        "preprocess reads the objects that they name instead of a listing",
    )
    dataset: Optional[TableOrUrl] = Field(
        None,
        description="folder that is written by preprocess and retrain, and read by train, score "
        "and export, which also take a name that Spark knows the dataset by, such as "
        "table:main.faces.all, or delta:// and the folder, such as delta://s3://bucket/faces",
    )
    model: Optional[PathOrUrl] = Field(None, description="written by train, read by score")
    scores: Optional[PathOrUrl] = Field(None, description="predictions, metrics and report")
    new_images: Optional[PathOrUrl] = Field(
        None, description="raw images to score instead of a split of the dataset"
    )
    baseline: Optional[PathOrUrl] = Field(
        None, description="scores of another run, which the report compares with"
    )
    label_errors: Optional[PathOrUrl] = Field(
        None, description="folds, the list of probably wrong labels, and their corrections"
    )


class SparkSettings(ConfigSection):
    """How Spark is started if there is no session; options of spark-submit take precedence."""

    master: Optional[str] = Field(
        None, description="Spark master; default: all cores of this machine"
    )
    remote: Optional[str] = Field(
        None,
        pattern=r"^sc://[^/]",
        description="Spark Connect server, such as sc://HOST:15002, instead of a master; default: "
        "SPARK_REMOTE",
    )
    conf: dict[str, str] = Field(default_factory=dict, description="any spark.* setting")

    @field_validator("master")
    @classmethod
    def _is_known_to_spark(cls, master: Optional[str]) -> Optional[str]:
        if master is not None and not _MASTER.fullmatch(master):
            raise ValueError(
                "must be local, local[N], local[*], spark://HOST:PORT, yarn or k8s://URL"
            )
        return master

    @model_validator(mode="after")
    def _has_one_address(self) -> SparkSettings:
        if self.master and self.remote:
            raise ValueError(
                f"master is {self.master} and remote is {self.remote}, which exclude each other; "
                "set one of them"
            )
        return self


class TrackingSettings(ConfigSection):
    """Where parameters, metrics and models of trainings are logged with MLflow."""

    enabled: bool = Field(True, description="whether trainings are logged with MLflow")
    uri: Optional[str] = Field(
        None,
        description="tracking URI; default: MLFLOW_TRACKING_URI, else mlflow.db in the working "
        "directory",
    )
    experiment: Optional[str] = Field(
        None, description="MLflow experiment; default: the config's name"
    )


class Config(ConfigSection):
    """All settings of a run."""

    name: str = Field(
        "halftone",
        pattern=r"^[A-Za-z0-9][A-Za-z0-9._-]*$",
        description="name of the run, as in Spark and MLflow",
        json_schema_extra=NOTHING,
    )
    seed: int = Field(0, ge=0, lt=2**31, description="seed of all random numbers")
    paths: Paths = Field(Paths(), json_schema_extra=NOTHING)
    pixels: PixelSpec = PixelSpec()
    splits: SplitSettings = SplitSettings()
    preprocess: PreprocessSettings = PreprocessSettings()
    train: TrainSettings = TrainSettings()
    score: ScoreSettings = ScoreSettings()
    tracking: TrackingSettings = Field(TrackingSettings(), json_schema_extra=NOTHING)
    card: CardSettings = Field(CardSettings(), json_schema_extra=NOTHING)
    retrain: RetrainSettings = Field(RetrainSettings(), json_schema_extra=NOTHING)
    storage: StorageSettings = Field(StorageSettings(), json_schema_extra=NOTHING)
    monitoring: MonitoringSettings = Field(MonitoringSettings(), json_schema_extra=NOTHING)
    spark: SparkSettings = Field(SparkSettings(), json_schema_extra=NOTHING)
