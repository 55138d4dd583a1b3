"""The settings of a card make the same config again."""

from __future__ import annotations

from typing import Any

import pytest

from halftone.card.changed_settings import list_changed_settings
from halftone.config import Config, config_from_mapping


@pytest.mark.parametrize(
    "settings",
    [
        {},
        {"name": "faces", "seed": 3, "paths": {"images": "s3://bucket/a"}},
        {"pixels": {"channels": 3}, "train": {"epochs": 3, "model": {"filters": [4]}}},
        {"train": {"model": {"name": "mlp"}}},
        {"train": {"model": {"name": "mlp", "hidden": [5]}}},
        {"train": {"model": {"name": "residual"}, "augment": {"flip": "horizontal"}}},
        {"train": {"model": {"name": "custom", "build": "mine:network", "args": {"width": 3}}}},
        {"score": {"threshold": "best_f1"}},
    ],
)
def test_only_what_differs_and_everything_that_does(settings: dict[str, Any]) -> None:
    config = config_from_mapping(settings, "test")
    changed = list_changed_settings(config)
    assert changed == settings
    assert config_from_mapping(changed, "test") == config


def test_what_changes_no_result_or_may_be_secret_stays_out() -> None:
    config = config_from_mapping(
        {
            "paths": {"images": "s3://user:secret@bucket/a", "model": "out/model"},
            "card": {"contact": "me"},
            "tracking": {"uri": "http://user:secret@host"},
            "storage": {"options": {"s3": {"anon": True}}},
            "spark": {"conf": {"spark.x": "secret"}},
        },
        "test",
    )
    assert list_changed_settings(config) == {"paths": {"model": "out/model"}}
    assert list_changed_settings(Config()) == {}
