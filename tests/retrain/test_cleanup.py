"""What is left of nights, with a real store of MLflow's and journals that say what was done."""

from __future__ import annotations

import json
from collections.abc import Iterator
from datetime import datetime, timedelta, timezone
from pathlib import Path
from typing import Any, Callable, Optional

import pytest

import saved_model
from halftone.config import Config
from halftone.retrain import cleanup, job
from halftone.retrain.job import RetrainJob
from halftone.retrain.registry import CHALLENGER, CHAMPION
from halftone.retrain.state import lock
from halftone.retrain.state.journal import Journal
from halftone.retrain.state.lock import Lock
from retrain_outcomes import outcome


@pytest.fixture
def held(tmp_path: Path) -> Iterator[Lock]:
    with lock.hold_lock(str(tmp_path / "lock"), 600.0, print) as own:
        yield own


@pytest.fixture
def make(tmp_path: Path, config: Callable[..., Config]) -> Callable[..., RetrainJob]:
    def make_(**keep: Any) -> RetrainJob:
        settings = config(
            name="faces",
            paths={"images": "i", "dataset": "d"},
            tracking={"uri": f"sqlite:///{tmp_path}/mlflow.db"},
            retrain={"folder": str(tmp_path), "keep": keep},
        )
        return job.create_job(settings, lambda: pytest.fail("no Spark"))

    return make_


class Past:
    """Nights 1, 2, ... that each registered a version, on a dataset of their own."""

    def __init__(self, root: Path, own: RetrainJob, held: Lock, config: Config) -> None:
        self._root, self._job, self._held = root, own, held
        self._model = saved_model.save(root / "some-model", config, ["a", "b"])

    def add(self, night: int, kind: str, champion: Optional[str], version: bool = True) -> None:
        journal = Journal(str(self._root), night, self._held)
        journal.record("begin", {})
        dataset = self._root / "datasets" / f"{night:06d}-f00"
        dataset.mkdir(parents=True)
        (dataset / "manifest.json").write_text("{}")
        journal.record("snapshot", {"dataset": str(dataset)})
        if version:
            journal.record("train", {})
            for name in ("model", "scores"):
                Path(journal.folder, name).mkdir()
                Path(journal.folder, name, "file").touch()
            Path(journal.folder, "traits.json").touch()
            made = self._job.registry.register(str(self._model), journal.folder, "tests")
            self._job.registry.set_alias(CHALLENGER, made)
            if kind == "promoted":
                self._job.registry.set_alias(CHAMPION, made)
        journal.record("outcome", outcome(night, kind, champion))

    def left(self) -> tuple[list[str], list[str], list[str]]:
        nights = sorted((self._root / "nights").iterdir())
        return (
            [path.name for path in nights if (path / "model" / "file").exists()],
            [one.number for one in self._job.registry.versions()],
            sorted(path.name for path in (self._root / "datasets").iterdir()),
        )


def test_what_the_champion_needs_is_never_removed(
    make: Callable[..., RetrainJob], held: Lock, tmp_path: Path, config: Callable[..., Config]
) -> None:
    own = make(nights=1, datasets=1, days=0)
    past = Past(tmp_path, own, held, config())
    past.add(1, "promoted", "1")
    past.add(2, "promoted", "2")
    past.add(3, "promoted", "3")
    past.add(4, "kept", "3")
    past.add(5, "refused", "3")
    past.add(6, "held", "3", version=False)
    past.add(7, "kept", "3")
    (tmp_path / "champion" / "model" / "v1").mkdir(parents=True)  # as a night had it from MLflow
    assert cleanup.remove_obsolete(own) == {
        "nights": [1, 4, 5],
        "versions": ["1", "4", "5"],
        "datasets": [str(tmp_path / "datasets" / f"{night:06d}-f00") for night in (1, 4, 5, 6)],
    }
    # The champion, the one before it to which a rollback goes, and the last one, as challenger.
    assert past.left() == (
        ["000002", "000003", "000007"],
        ["2", "3", "6"],
        ["000002-f00", "000003-f00", "000007-f00"],
    )
    champion = own.registry.champion()
    assert champion is not None
    assert own.registry.fetch(champion, str(tmp_path / "copy"))
    assert cleanup.remove_obsolete(own) == {"nights": [], "versions": [], "datasets": []}
    # Journals stay, as the history is of them, and nothing but journals of those that may go.
    journals = [len(list(path.iterdir())) for path in sorted((tmp_path / "nights").iterdir())]
    assert journals == [4, 7, 7, 4, 4, 3, 7]
    assert not (tmp_path / "champion").exists()


def test_what_is_young_stays(
    make: Callable[..., RetrainJob], held: Lock, tmp_path: Path, config: Callable[..., Config]
) -> None:
    own = make(nights=1, datasets=1, days=7)
    past = Past(tmp_path, own, held, config())
    for night in (1, 2, 3):
        past.add(night, "kept", None)
    assert cleanup.remove_obsolete(own) == {"nights": [], "versions": [], "datasets": []}
    entry = tmp_path / "nights" / "000001" / "01-begin.json"
    old = (datetime.now(timezone.utc) - timedelta(days=8)).isoformat()
    entry.write_text(json.dumps({**json.loads(entry.read_text()), "at": old}))
    assert cleanup.remove_obsolete(own)["versions"] == ["1"]
    assert past.left()[2] == ["000002-f00", "000003-f00"]
