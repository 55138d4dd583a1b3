"""The whole config: all sections together."""

from __future__ import annotations

from typing import Optional

from pydantic import (
    Field,
)

from halftone.config.base import ConfigSection
from halftone.config.dataset import PixelSpec, PreprocessSettings, SplitSettings
from halftone.config.retrain import RetrainSettings
from halftone.config.score import ScoreSettings
from halftone.config.storage import StorageSettings
from halftone.config.train import TrainSettings


class Paths(ConfigSection):
    """Where things are: local paths or URLs (s3://, gs://, abfs://, hdfs://). Flags override."""

    images: Optional[str] = Field(None, description="folder of raw images, read recursively")
    dataset: Optional[str] = Field(None, description="written by preprocess, read by train, score")
    model: Optional[str] = Field(None, description="written by train, read by score")
    scores: Optional[str] = Field(None, description="predictions, metrics and report")
    new_images: Optional[str] = Field(None, description="raw images that score is to take instead")
    baseline: Optional[str] = Field(None, description="earlier scores, for score to compare with")


class SparkSettings(ConfigSection):
    """How Spark is started where no session is given (spark-submit's own settings win)."""

    master: Optional[str] = Field(None, description="default: all cores of this machine")
    conf: dict[str, str] = Field(default_factory=dict, description="any spark.* setting")


class TrackingSettings(ConfigSection):
    """Where MLflow keeps parameters, metrics and models of trainings."""

    enabled: bool = True
    uri: Optional[str] = Field(
        None, description="default: MLFLOW_TRACKING_URI, else mlflow.db in the working directory"
    )
    experiment: Optional[str] = Field(None, description="default: the config's name")


class Config(ConfigSection):
    """One run, whole."""

    name: str = Field("halftone", pattern=r"^[A-Za-z0-9][A-Za-z0-9._-]*$")
    seed: int = Field(0, ge=0, lt=2**31)
    paths: Paths = Paths()
    pixels: PixelSpec = PixelSpec()
    splits: SplitSettings = SplitSettings()
    preprocess: PreprocessSettings = PreprocessSettings()
    train: TrainSettings = TrainSettings()
    score: ScoreSettings = ScoreSettings()
    tracking: TrackingSettings = TrackingSettings()
    retrain: RetrainSettings = RetrainSettings()
    storage: StorageSettings = StorageSettings()
    spark: SparkSettings = SparkSettings()
