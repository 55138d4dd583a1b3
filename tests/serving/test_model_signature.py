from __future__ import annotations

import numpy as np
import pytest

from halftone import images
from halftone.config import PixelSpec, ScoreSettings
from halftone.serving import model_signature


def test_columns_and_their_types() -> None:
    signature = model_signature.build_signature(ScoreSettings())
    assert [str(column) for column in signature.inputs] == [
        "'image': binary (optional)",
        "'url': string (optional)",
        "'pixels': Any (optional)",
    ]
    assert [str(column) for column in signature.outputs] == [
        "'label': string (optional)",
        "'probability': Map(str -> DataType.float) (required)",
        "'reason': string (optional)",
        "'detail': string (optional)",
    ]


@pytest.mark.parametrize(
    ("settings", "threshold"),
    [
        ({}, 0.5),
        ({"threshold": 0.8}, 0.8),
        ({"threshold": "best_f1", "calibrate": True}, 0.5),
        ({"threshold": "precision", "wanted_precision": 0.9}, 0.5),
    ],
)
def test_defaults_of_parameters(settings: dict[str, object], threshold: float) -> None:
    params = model_signature.build_signature(ScoreSettings(**settings)).params
    assert {param.name: param.default for param in params} == {
        "threshold": threshold,
        "temperature": 1.0,
    }


@pytest.mark.parametrize("channels", [1, 3])
def test_example_is_an_image_of_the_models_size(channels: int) -> None:
    spec = PixelSpec(height_px=5, width_px=256, channels=channels, encoding="jpeg", jpeg_quality=9)
    (data,) = model_signature.example_request(spec)["image"]
    decoded = images.decode(data, spec)
    assert decoded.format == "png"
    gradient = np.broadcast_to(np.arange(256)[None, :, None], spec.shape)
    assert decoded.pixels.tolist() == gradient.tolist()
