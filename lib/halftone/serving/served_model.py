"""What the files of a model say about how to predict with it."""

from __future__ import annotations

from pathlib import Path
from typing import Literal, Optional

from pydantic import BaseModel, ConfigDict, Field

from halftone.config import PixelSpec
from halftone.config.score import NO_VIEWS

MODEL_INFO = "model.json"  # as in halftone.model_directory, which needs much more code


class ServedModel(BaseModel):
    """The part of a model's description that prediction needs."""

    model_config = ConfigDict(frozen=True)

    version: str
    network: str  # file name
    labels: list[str]  # classes, in the order of the probabilities
    pixels: PixelSpec


class ServingSettings(BaseModel):
    """The `model_config` of MLflow's functions, which can override what the model brings."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    views: Literal["none", "flip", "flip_translate"] = NO_VIEWS  # as the setting score.views
    batch_size: int = Field(256, ge=1)  # views of images per forward pass, at most
    threads: Optional[int] = Field(None, ge=1)  # of TensorFlow; None: its default, all cores
    url_prefixes: Optional[list[str]] = None  # of the URLs that may be read; None: all


def read_served_model(folder: str) -> ServedModel:
    """Read the description of the model in a local folder."""
    return ServedModel.model_validate_json(Path(folder, MODEL_INFO).read_bytes())
