"""Whole retraining runs, with real Spark, real training and a real MLflow store."""

from __future__ import annotations

import tempfile
from collections import Counter
from pathlib import Path

import mlflow
import pytest
from mlflow import MlflowClient

import saved_model
from halftone import config
from halftone.config import TrackingSettings
from halftone.retrain.registry import CHAMPION, ModelRegistry
from halftone.retrain.state.journal import BEGIN, ENDED, OUTCOME, STEPS
from halftone.tracking import tracking
from retrain_scripts import run
from retrained import NAME, draw, outcomes, write_config
from served import check_predictions


@pytest.mark.slow
@pytest.mark.timeout(1200)
@pytest.mark.odd_folder
def test_run_that_is_killed_at_each_step_resumes_without_repeating_steps(tmp_path: Path) -> None:
    draw(tmp_path / "images", "a", 150, 1000)
    path = write_config(tmp_path, epochs=6)
    # The first champion has a different network, so that training starts from scratch.
    loaded = config.load_config(str(path), ["train.model={name: mlp}"])
    settings = TrackingSettings(uri=f"sqlite:///{tmp_path}/mlflow.db")
    registry = ModelRegistry(settings, NAME)
    manual_model = saved_model.save(tmp_path / "by-hand", loaded, ["lying", "upright"], 0.1)
    registry.set_alias(CHAMPION, registry.register(str(manual_model), "", "tests"))

    calls = run("killed.py", tmp_path)
    kills = [call for call in calls if "step" in call]
    dry, last = [call for call in calls if "step" not in call]

    expected = [(step, when, -9) for step in STEPS for when in ("before", "behind")]
    assert [(call["step"], call["when"], call["ended"]) for call in kills] == expected
    assert all(call["is_there"] for call in kills)
    promoted = expected.index(("promote", "before", -9))
    champions = [call["champion"] for call in kills]
    assert champions == ["1"] * promoted + ["2"] * (len(expected) - promoted)
    assert (dry["code"], dry["last"]["outcome"], dry["last"]["champion"]) == (0, "dry-run", "1")
    assert dry["last"]["reason"].startswith("would be promoted: better by more than chance: ")
    assert (last["code"], last["last"]["outcome"]) == (0, "nothing")
    # The work of a step is done twice: before the first kill, which loses the entry, and before the
    # second, which does not. The last call starts a second run, which finds nothing new.
    did = Counter((tmp_path / "did").read_text().split())
    in_second_run = (BEGIN, "preprocess", "notify", ENDED)
    assert did == {step: 3 if step in in_second_run else 2 for step in STEPS if step != OUTCOME}
    first, second = outcomes(tmp_path)
    assert (first["outcome"], first["champion_before"], first["champion"]) == ("promoted", "1", "2")
    assert second["outcome"] == "nothing"
    assert len(registry.versions()) == 2

    # MLflow cannot open paths with %20; the champion's files are copied to another one.
    with tempfile.TemporaryDirectory(dir=tmp_path.parent) as folder:
        (run_id,) = [version.run_id for version in registry.versions() if version.number == "2"]
        client = MlflowClient(tracking.store_uri(settings))
        champion = mlflow.pyfunc.load_model(client.download_artifacts(run_id, "model", folder))
        new = draw(Path(folder, "new"), "n", 2, 9000)
        check_predictions(champion, tmp_path / "retrain" / "nights" / "000001" / "model", new)
