"""What a rank tells Horovod before that starts."""

from __future__ import annotations

import os
from typing import Any, Optional

import pytest

from halftone.config import config_from_mapping
from halftone.feed import world
from halftone.launch import rank
from halftone.training import fit


@pytest.mark.parametrize(
    ("settings", "environment", "told"),
    [
        ({}, None, "1"),
        ({"cycle_ms": 10}, None, "10"),
        ({"cycle_ms": 2.5}, None, "2.5"),
        ({"cycle_ms": 10}, "3", "3"),  # what the user's environment says stands
    ],
)
def test_how_often_ranks_ask_each_other(
    monkeypatch: pytest.MonkeyPatch,
    settings: dict[str, Any],
    environment: Optional[str],
    told: str,
) -> None:
    monkeypatch.setenv("HOROVOD_CYCLE_TIME", environment or "")
    if environment is None:
        monkeypatch.delenv("HOROVOD_CYCLE_TIME")
    seen = []
    monkeypatch.setattr(
        world, "detect_world", lambda: seen.append(os.environ["HOROVOD_CYCLE_TIME"])
    )
    monkeypatch.setattr(fit, "fit_rank", lambda *arguments: None)
    monkeypatch.setattr(rank, "set_default_environment", lambda: None)
    config = config_from_mapping({"name": "test", "train": settings}, source="test")
    rank.train_in_process(config, None, "dataset", "output")  # type: ignore[arg-type]
    assert seen == [told]
