"""Removal of earlier runs, with a real MLflow store and written journals."""

from __future__ import annotations

import json
from collections.abc import Iterator
from datetime import datetime, timedelta, timezone
from pathlib import Path
from typing import Any, Callable, Optional

import pytest

import saved_model
from halftone.config import Config
from halftone.locking import lock
from halftone.locking.lock import Lock
from halftone.retrain import cleanup, job
from halftone.retrain.job import RetrainJob
from halftone.retrain.registry import CHALLENGER, CHAMPION
from halftone.retrain.state.journal import Journal
from retrain_outcomes import outcome


@pytest.fixture
def held(tmp_path: Path) -> Iterator[Lock]:
    with lock.hold_lock(str(tmp_path), "retrain", 600.0, print) as held_lock:
        yield held_lock


@pytest.fixture
def make_job(tmp_path: Path, config: Callable[..., Config]) -> Callable[..., RetrainJob]:
    def create(**keep: Any) -> RetrainJob:
        settings = config(
            name="faces",
            paths={"images": "i", "dataset": "d"},
            tracking={"uri": f"sqlite:///{tmp_path}/mlflow.db"},
            retrain={"folder": str(tmp_path), "keep": keep},
        )
        return job.create_job(settings, lambda: pytest.fail("no Spark"))

    return create


class PastRuns:
    """Runs 1, 2, ... that each registered a version, on their own snapshots."""

    def __init__(self, root: Path, retrain_job: RetrainJob, held: Lock, config: Config) -> None:
        self._root, self._job, self._held = root, retrain_job, held
        self._model = saved_model.save(root / "some-model", config, ["a", "b"])

    def add(
        self, run_number: int, result: str, champion: Optional[str], version: bool = True
    ) -> None:
        journal = Journal(str(self._root), run_number, self._held)
        journal.record("begin", {})
        dataset = self._root / "datasets" / f"{run_number:06d}-f00"
        dataset.mkdir(parents=True)
        (dataset / "manifest.json").write_text("{}")
        journal.record("snapshot", {"dataset": str(dataset)})
        if version:
            journal.record("train", {})
            for name in ("model", "scores"):
                Path(journal.folder, name).mkdir()
                Path(journal.folder, name, "file").touch()
            Path(journal.folder, "traits.json").touch()
            challenger = self._job.registry.register(str(self._model), journal.folder, "tests")
            self._job.registry.set_alias(CHALLENGER, challenger)
            if result == "promoted":
                self._job.registry.set_alias(CHAMPION, challenger)
        journal.record("outcome", outcome(run_number, result, champion))

    def remaining(self) -> tuple[list[str], list[str], list[str]]:
        """Return the runs that have a model, the versions, and the snapshots."""
        folders = sorted((self._root / "nights").iterdir())
        return (
            [path.name for path in folders if (path / "model" / "file").exists()],
            [version.number for version in self._job.registry.versions()],
            sorted(path.name for path in (self._root / "datasets").iterdir()),
        )


def test_runs_that_the_champion_needs_are_never_removed(
    make_job: Callable[..., RetrainJob], held: Lock, tmp_path: Path, config: Callable[..., Config]
) -> None:
    retrain_job = make_job(nights=1, datasets=1, days=0)
    past = PastRuns(tmp_path, retrain_job, held, config())
    past.add(1, "promoted", "1")
    past.add(2, "promoted", "2")
    past.add(3, "promoted", "3")
    past.add(4, "kept", "3")
    past.add(5, "refused", "3")
    past.add(6, "held", "3", version=False)
    past.add(7, "kept", "3")
    (tmp_path / "champion" / "model" / "v1").mkdir(parents=True)  # a copy fetched from MLflow
    assert cleanup.remove_obsolete(retrain_job) == {
        "nights": [1, 4, 5],
        "versions": ["1", "4", "5"],
        "datasets": [str(tmp_path / "datasets" / f"{number:06d}-f00") for number in (1, 4, 5, 6)],
    }
    # The champion, the previous champion (target of a rollback), and the challenger stay.
    assert past.remaining() == (
        ["000002", "000003", "000007"],
        ["2", "3", "6"],
        ["000002-f00", "000003-f00", "000007-f00"],
    )
    champion = retrain_job.registry.champion()
    assert champion is not None
    assert retrain_job.registry.fetch(champion, str(tmp_path / "copy"))
    assert cleanup.remove_obsolete(retrain_job) == {"nights": [], "versions": [], "datasets": []}
    # Removed runs keep their journals and nothing else.
    journals = [len(list(path.iterdir())) for path in sorted((tmp_path / "nights").iterdir())]
    assert journals == [4, 7, 7, 4, 4, 3, 7]
    assert not (tmp_path / "champion").exists()


def test_young_runs_stay(
    make_job: Callable[..., RetrainJob], held: Lock, tmp_path: Path, config: Callable[..., Config]
) -> None:
    retrain_job = make_job(nights=1, datasets=1, days=7)
    past = PastRuns(tmp_path, retrain_job, held, config())
    for number in (1, 2, 3):
        past.add(number, "kept", None)
    assert cleanup.remove_obsolete(retrain_job) == {"nights": [], "versions": [], "datasets": []}
    entry = tmp_path / "nights" / "000001" / "01-begin.json"
    old = (datetime.now(timezone.utc) - timedelta(days=8)).isoformat()
    entry.write_text(json.dumps({**json.loads(entry.read_text()), "at": old}))
    assert cleanup.remove_obsolete(retrain_job)["versions"] == ["1"]
    assert past.remaining()[2] == ["000002-f00", "000003-f00"]
