"""Nights as a whole, with real Spark, real training and a real store of MLflow's."""

from __future__ import annotations

from collections import Counter
from pathlib import Path

import pytest

import saved_model
from halftone import config
from halftone.config import TrackingSettings
from halftone.retrain.registry import CHAMPION, ModelRegistry
from halftone.retrain.state.journal import BEGIN, ENDED, OUTCOME, STEPS
from retrain_scripts import run
from retrained import NAME, draw, outcomes, write_config


@pytest.mark.slow
@pytest.mark.timeout(1200)
def test_a_night_that_is_killed_at_each_step_goes_on_and_repeats_none(tmp_path: Path) -> None:
    draw(tmp_path / "images", "a", 150, 1000)
    path = write_config(tmp_path, epochs=6)
    # Of another network, so that the training begins from scratch.
    loaded = config.load_config(str(path), ["train.model={name: mlp}"])
    registry = ModelRegistry(TrackingSettings(uri=f"sqlite:///{tmp_path}/mlflow.db"), NAME)
    by_hand = saved_model.save(tmp_path / "by-hand", loaded, ["lying", "upright"], 0.1)
    registry.set_alias(CHAMPION, registry.register(str(by_hand), "", "tests"))

    said = run("killed.py", tmp_path)
    kills = [one for one in said if "step" in one]
    dry, whole = [one for one in said if "step" not in one]

    expected = [(step, when, -9) for step in STEPS for when in ("before", "behind")]
    assert [(one["step"], one["when"], one["ended"]) for one in kills] == expected
    assert all(one["is_there"] for one in kills)
    promoted = expected.index(("promote", "before", -9))
    champions = [one["champion"] for one in kills]
    assert champions == ["1"] * promoted + ["2"] * (len(expected) - promoted)
    assert (dry["code"], dry["last"]["outcome"], dry["last"]["champion"]) == (0, "dry-run", "1")
    assert dry["last"]["reason"].startswith("would be promoted: better by more than chance: ")
    assert (whole["code"], whole["last"]["outcome"]) == (0, "nothing")
    # The work of a step is done once for each of its two kills, and the last call has a night of
    # its own, with nothing to do.
    did = Counter((tmp_path / "did").read_text().split())
    again = (BEGIN, "preprocess", "notify", ENDED)
    assert did == {step: 3 if step in again else 2 for step in STEPS if step != OUTCOME}
    first, second = outcomes(tmp_path)
    assert (first["outcome"], first["champion_before"], first["champion"]) == ("promoted", "1", "2")
    assert second["outcome"] == "nothing"
    assert len(registry.versions()) == 2
