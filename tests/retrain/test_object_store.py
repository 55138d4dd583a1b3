"""Nights with every path on a real S3 server: the lock, the journal, and what is kept."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

import fault_proxy
from halftone.config import TrackingSettings
from halftone.retrain import command
from halftone.retrain.command import RetrainArguments
from halftone.retrain.state import lock
from halftone.retrain.state.journal import Journal
from halftone.retrain.state.lock import LockLostError
from halftone.tracking import mlflow_model
from lock_race import race
from object_store import BUCKET, ROOT, ObjectStore, served
from retrained import JOB, NAME, draw, last_line, write_config

LOCK = f"{ROOT}/retrain/lock"
LOCK_SECS = 6.0


@pytest.fixture
def store(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ObjectStore]:
    with served(tmp_path_factory.mktemp("s3")) as made:
        yield made


def from_far(store: ObjectStore, number: int) -> None:
    """Leave the lock of a machine that nobody here can look at, and that has died."""
    holding = {
        "owner": {"host": "far", "pid": 7, "started": 1.0, "machine": "elsewhere"},
        "beat": 3,
        "at": time.time() - 60,
        "is_released": False,
        "token": "t",
    }
    path = f"{BUCKET}/retrain/lock/{number:06d}.json"
    store.client().pipe_file(path, json.dumps(holding).encode())


def test_of_many_at_once_one_takes_a_dead_ones_lock(store: ObjectStore) -> None:
    from_far(store, 4)
    assert race(LOCK, 4, dead_secs=1.0) == [0, 0, 0, 5]


def test_an_owner_beats_and_notes_until_it_is_taken_over(store: ObjectStore) -> None:
    lost: list[LockLostError] = []
    with lock.hold_lock(LOCK, 0.6, lost.append) as held:
        own = Journal(f"{ROOT}/retrain", 1, held)
        own.record("begin", {})
        with pytest.raises(LockLostError, match=r"01-begin\.json: another process has written it"):
            own.record("begin", {})
        deadline = time.monotonic() + 30
        path = f"{BUCKET}/retrain/lock/000001.json"
        while json.loads(store.client().cat_file(path))["beat"] < 4:
            assert time.monotonic() < deadline
            time.sleep(0.05)
        from_far(store, 2)
        with pytest.raises(
            LockLostError, match=f"^process 7 on far has taken over the lock {LOCK}: "
        ):
            own.record("preprocess", {})
    assert own.read("preprocess") is None
    assert [str(error)[:17] for error in lost] in ([], ["process 7 on far "])


class Site:
    """A bucket, a config of which every path is in it, and the calls of its nights."""

    def __init__(self, folder: Path, store: ObjectStore) -> None:
        self.folder, self.client, self.store = folder, store.client(), store
        self.conf = write_config(
            folder,
            epochs=6,
            lock_secs=LOCK_SECS,
            gate={"floor": 0.1},
            keep={"nights": 1, "datasets": 1, "days": 0},
            outcome_file=f"{ROOT}/told/last.json",
        )
        settings = yaml.safe_load(self.conf.read_text())
        settings["paths"] = {name: f"{ROOT}/{name}" for name in ("images", "dataset")}
        settings["retrain"]["folder"] = f"{ROOT}/retrain"
        settings["storage"] = {"options": store.options}
        self.conf.write_text(yaml.safe_dump(settings))

    def draw(self, tag: str, each: int, seed: int) -> None:
        draw(self.folder / tag, tag, each, seed)
        self.store.upload(self.folder / tag, f"{BUCKET}/images")

    def start(self, *arguments: str, **environment: str) -> subprocess.Popen[str]:
        # The config alone says where the store is.
        own = {name: value for name, value in os.environ.items() if not name.startswith("FSSPEC_")}
        return subprocess.Popen(
            [sys.executable, JOB, "--config", str(self.conf), *arguments],
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            env={**own, **environment},
            cwd=self.folder,
            start_new_session=True,
        )

    def wait_for(self, pattern: str) -> None:
        deadline = time.monotonic() + 200
        while not self.client.glob(f"{BUCKET}/retrain/{pattern}"):
            assert time.monotonic() < deadline, pattern
            time.sleep(0.02)

    def ls(self, folder: str) -> list[str]:
        found = self.client.ls(f"{BUCKET}/retrain/{folder}", detail=False)
        return sorted(Path(name).name for name in found)

    def json(self, path: str) -> Any:
        return json.loads(self.client.cat_file(f"{BUCKET}/{path}"))


def ended(process: subprocess.Popen[str]) -> tuple[int, dict[str, Any]]:
    said, _ = process.communicate(timeout=300)
    assert said, process.returncode
    return process.returncode, last_line(said)


def test_a_store_that_refuses_ends_a_call_with_the_cure(
    store: ObjectStore, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    site = Site(tmp_path, store)
    store.proxy.fault = lambda method, target: fault_proxy.ERROR_403
    for is_history in (True, False):
        assert command.main(RetrainArguments(str(site.conf), history=is_history)) == 5
        said = capsys.readouterr()
        last = last_line(said.out)
        assert (last["outcome"], last["exit_code"]) == ("failed", 5)
        assert last["reason"].startswith(f"{ROOT}/retrain/")
        assert last["reason"].endswith(
            "check the credentials and their permissions (docs/storage.md lists where credentials "
            "are looked up)"
        )
        assert said.err.endswith(f"failed: {last['reason']}\n")
        # Nor can the file be written that tells of it, which hides nothing.
        assert ("notify: retrain.outcome_file " in said.err) != is_history


@pytest.mark.slow
@pytest.mark.timeout(900)
def test_nights_on_an_object_store(
    store: ObjectStore, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    site = Site(tmp_path, store)

    # The first night is killed while it trains; who came in between was told who is at it.
    site.draw("first", 150, 1000)
    first = site.start()
    site.wait_for("nights/000001/01-begin.json")
    code, last = ended(site.start())
    assert (code, last["outcome"]) == (4, "busy")
    assert last["reason"].startswith(f"process {first.pid} on ")
    assert f" holds the lock {LOCK}, and gave its last sign of life " in last["reason"]
    site.wait_for("nights/000001/model/checkpoints/*.npz")
    os.killpg(first.pid, signal.SIGKILL)
    first.communicate()
    code, last = ended(site.start())
    assert (code, last["outcome"], last["night"], last["champion"]) == (0, "promoted", 1, "1")
    night = "retrain/nights/000001"
    started, trained = (site.json(f"{night}/{name}.json") for name in ("05-start", "06-train"))
    assert started["fence"] < trained["fence"]
    assert trained["model"] == f"{ROOT}/{night}/model"
    assert len(site.client.glob(f"{BUCKET}/{night}/attempt-*.json")) == 2
    assert site.json("told/last.json")["id"] == site.json(f"{night}/11-outcome.json")["id"]

    # Nothing new: that is said without Spark, whose Java is not there, and without MLflow.
    away = "tracking.uri=http://127.0.0.1:9"
    code, last = ended(site.start("--set", away, JAVA_HOME=str(tmp_path)))
    assert (code, last["outcome"], last["night"], last["champion"]) == (0, "nothing", 2, "1")

    # Two at once, behind a machine that died with the lock, are one; what nobody needs goes.
    site.draw("second", 10, 3000)
    from_far(store, 1 + max(int(Path(name).stem) for name in site.ls("lock")))
    for unneeded in ("nights/000002/model/file", "datasets/000000-f00d/manifest.json"):
        site.client.pipe_file(f"{BUCKET}/retrain/{unneeded}", b"{}")
    calls = [site.start() for _ in range(2)]
    (code, last), busy = sorted((ended(call) for call in calls), key=lambda one: one[0])
    assert (code, last["outcome"], last["night"], last["new_images"]) == (0, "kept", 3, 20)
    assert (busy[0], busy[1]["outcome"]) == (4, "busy")
    models = site.client.glob(f"{BUCKET}/retrain/nights/*/model/network-*")
    assert [path.split("/")[3] for path in models] == ["000001", "000003"]
    assert "model" not in site.ls("nights/000002")
    snapshots = [site.json(f"retrain/nights/00000{n}/03-snapshot.json") for n in (1, 3)]
    assert [f"{ROOT}/retrain/datasets/{name}" for name in site.ls("datasets")] == [
        one["dataset"] for one in snapshots
    ]
    assert not site.client.exists(f"{BUCKET}/retrain/champion")
    tracking = TrackingSettings(uri=f"sqlite:///{tmp_path}/mlflow.db")
    copy = mlflow_model.fetch_model(f"models:/{NAME}@champion", str(tmp_path / "served"), tracking)
    assert copy.endswith(trained["digest"])

    capsys.readouterr()
    assert command.main(RetrainArguments(str(site.conf), history=True)) == 0
    *table, _, last_said = capsys.readouterr().out.splitlines()[2:]
    assert [line.split()[0] for line in table] == ["1", "2", "3"]
    assert last_said == "champion: version 1"
    assert b"The champion is version <strong>1</strong>" in site.client.cat_file(
        f"{BUCKET}/retrain/index.html"
    )
