"""What a model takes and gives, in MLflow's types, and an example of a request."""

from __future__ import annotations

from typing import Any, Union

import numpy as np
import pandas as pd
from mlflow.models import ModelSignature
from mlflow.types import ColSpec, DataType, ParamSchema, ParamSpec, Schema, TensorSpec
from mlflow.types.schema import AnyType, Map

from halftone import images
from halftone.config import PixelSpec, ScoreSettings
from halftone.metrics.thresholds import DEFAULT_THRESHOLD
from halftone.serving.image_inputs import IMAGE, PIXELS, URL
from halftone.serving.pyfunc_model import (
    DEFAULT_TEMPERATURE,
    DETAIL,
    LABEL,
    PROBABILITY,
    REASON,
    TEMPERATURE,
    THRESHOLD,
)


def build_signature(settings: ScoreSettings) -> ModelSignature:
    """Return the signature of a model.

    Args:
        settings: with which the model was trained. A threshold and a temperature that scoring fits
            on the validation split are not known yet: their defaults are 0.5 and 1.
    """
    # Pixels are of any type in MLflow's eyes: its check of an array of arrays of arrays takes some
    # 30 us for each pixel, 0.1 s for an image of 64x64. The model checks them itself.
    inputs: list[Union[ColSpec, TensorSpec]] = [
        ColSpec(DataType.binary, IMAGE, required=False),
        ColSpec(DataType.string, URL, required=False),
        ColSpec(AnyType(), PIXELS, required=False),  # type: ignore[no-untyped-call]
    ]
    outputs: list[Union[ColSpec, TensorSpec]] = [
        ColSpec(DataType.string, LABEL, required=False),
        ColSpec(Map(DataType.float), PROBABILITY),
        ColSpec(DataType.string, REASON, required=False),
        ColSpec(DataType.string, DETAIL, required=False),
    ]
    threshold = settings.threshold
    params = [
        ParamSpec(
            THRESHOLD,
            DataType.double,
            threshold if isinstance(threshold, float) else DEFAULT_THRESHOLD,
        ),
        ParamSpec(TEMPERATURE, DataType.double, DEFAULT_TEMPERATURE),
    ]
    return ModelSignature(Schema(inputs), Schema(outputs), ParamSchema(params))


def example_request(spec: PixelSpec) -> pd.DataFrame:
    """Return a request with one image, a PNG file of a gradient."""
    across = np.linspace(0, 255, spec.width_px).astype(np.uint8)
    pixels = np.broadcast_to(across[None, :, None], spec.shape).copy()
    png: dict[str, Any] = {"encoding": "png", "jpeg_quality": PixelSpec().jpeg_quality}
    return pd.DataFrame({IMAGE: [images.encode_pixels(pixels, spec.model_copy(update=png))]})
