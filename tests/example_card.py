"""The description of a small model, for tests that need no network."""

from typing import Any

from halftone.config import Config, PixelSpec
from halftone.model_directory import ModelInfo


def card(**changes: Any) -> ModelInfo:
    return ModelInfo(
        schema_version=1,
        halftone_version="0.1.0",
        created="2026-01-02T03:04:05+00:00",
        version="v",
        network="network-v.keras",
        labels=["cat", "dog"],
        pixels=PixelSpec(),
        fingerprint="f",
        best_epoch=1,
        ranks=2,
        train_secs=9.0,
        origin={},
        config=Config(),
        **changes,
    )
