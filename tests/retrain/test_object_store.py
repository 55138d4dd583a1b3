"""Retraining runs with every path on a real object store: lock, journal, cleanup."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Callable, Optional

import pytest
import yaml

import fault_proxy
from halftone.config import TrackingSettings
from halftone.locking import lock
from halftone.locking.lock import LockLostError
from halftone.retrain import command
from halftone.retrain.command import RetrainArguments
from halftone.retrain.state.journal import Journal
from halftone.tracking import mlflow_model
from lock_race import race
from object_store import ALL_STORES, BUCKET, OTHER_STORES, ROOT, S3, ObjectStore, served
from retrain_scripts import HERE
from retrained import JOB, NAME, draw, last_line, write_config

RETRAIN = f"{ROOT}/retrain"
LOCK_SECS = 6.0
Call = Callable[..., "tuple[int, dict[str, Any]]"]

every_store = pytest.mark.parametrize("store", ALL_STORES, indirect=True)


@pytest.fixture
def store(
    tmp_path_factory: pytest.TempPathFactory, request: pytest.FixtureRequest
) -> Iterator[ObjectStore]:
    """A store; S3 if the test does not name another one."""
    kind = getattr(request, "param", S3)
    with served(tmp_path_factory.mktemp("store"), kind) as object_store:
        yield object_store


def write_remote_holding(store: ObjectStore, number: int) -> None:
    """Write the lock file of an owner on another machine that has died."""
    holding = {
        "owner": {"host": "far", "pid": 7, "start_ticks": 1, "machine": "elsewhere"},
        "job": "retrain",
        "since": time.time() - 90,
        "at": time.time() - 60,
        "beat": 3,
        "is_released": False,
        "token": "t",
    }
    path = f"{BUCKET}/retrain/_lock/{number:06d}.json"
    store.client().pipe_file(path, json.dumps(holding).encode())


@every_store
def test_only_one_of_many_threads_takes_over_a_dead_lock(store: ObjectStore) -> None:
    write_remote_holding(store, 4)
    assert race(f"{store.root}/retrain", 4, timeout_secs=1.0) == [0, 0, 0, 5]


@every_store
def test_owner_writes_heartbeats_and_entries_until_it_loses_the_lock(store: ObjectStore) -> None:
    lost: list[LockLostError] = []
    root = f"{store.root}/retrain"
    with lock.hold_lock(root, "retrain", 0.6, lost.append) as held:
        run_journal = Journal(root, 1, held)
        run_journal.record("begin", {})
        with pytest.raises(LockLostError, match=r"01-begin\.json: another process has written it"):
            run_journal.record("begin", {})
        deadline = time.monotonic() + 30
        path = f"{BUCKET}/retrain/_lock/000001.json"
        while json.loads(store.client().cat_file(path))["beat"] < 4:
            assert time.monotonic() < deadline
            time.sleep(0.05)
        write_remote_holding(store, 2)
        with pytest.raises(
            LockLostError, match=f"^{root}: process 7 on far has taken the lock over, "
        ):
            run_journal.record("preprocess", {})
    assert run_journal.read("preprocess") is None
    assert [str(error).split(": ")[1][:17] for error in lost] in ([], ["process 7 on far "])


class Site:
    """A bucket, a config with every path in it, and calls of the job."""

    def __init__(self, folder: Path, store: ObjectStore) -> None:
        self.folder, self.client, self.store = folder, store.client(), store
        self.conf = write_config(
            folder,
            epochs=6,
            lock_secs=LOCK_SECS,
            gate={"floor": 0.1},
            keep={"nights": 1, "datasets": 1, "days": 0},
            outcome_file=f"{store.root}/outcome/last.json",
        )
        settings = yaml.safe_load(self.conf.read_text())
        settings["paths"] = {name: f"{store.root}/{name}" for name in ("images", "dataset")}
        settings["retrain"]["folder"] = f"{store.root}/retrain"
        settings["storage"] = {"options": store.options}
        self.conf.write_text(yaml.safe_dump(settings))

    def draw(self, tag: str, each: int, seed: int) -> None:
        draw(self.folder / tag, tag, each, seed)
        self.store.upload(self.folder / tag, f"{BUCKET}/images")

    def start(self) -> subprocess.Popen[str]:
        """Start the job in a process of its own."""
        return self._popen(JOB, "--config", str(self.conf), stderr=subprocess.STDOUT)

    @contextmanager
    def calls(self) -> Iterator[Call]:
        """Yield a function that calls the job, each time in the same process."""
        process = self._popen(str(HERE / "retrain_calls.py"), str(self.conf))
        assert process.stdin is not None
        assert process.stdout is not None
        stdin, stdout = process.stdin, process.stdout

        def call(**arguments: Any) -> tuple[int, dict[str, Any]]:
            stdin.write(json.dumps(arguments) + "\n")
            stdin.flush()
            # A training prints lines too.
            result = json.loads(next(line for line in stdout if line.startswith("{")))
            return result["code"], result["last"]

        try:
            yield call
            stdin.close()
            assert process.wait(timeout=60) == 0
        finally:
            if process.poll() is None:
                os.killpg(process.pid, signal.SIGKILL)
                process.wait()

    def _popen(self, *arguments: str, stderr: Optional[int] = None) -> subprocess.Popen[str]:
        # The location of the store comes from the config only.
        inherited = {
            name: value for name, value in os.environ.items() if not name.startswith("FSSPEC_")
        }
        return subprocess.Popen(
            [sys.executable, *arguments],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=stderr,
            text=True,
            env=inherited,
            cwd=self.folder,
            start_new_session=True,
        )

    def wait_for(self, pattern: str) -> None:
        deadline = time.monotonic() + 400
        while not self.client.glob(f"{BUCKET}/retrain/{pattern}"):
            assert time.monotonic() < deadline, pattern
            time.sleep(0.02)

    def ls(self, folder: str) -> list[str]:
        paths = self.client.ls(f"{BUCKET}/retrain/{folder}", detail=False)
        return sorted(Path(path).name for path in paths)

    def json(self, path: str) -> Any:
        return json.loads(self.client.cat_file(f"{BUCKET}/{path}"))


def wait(process: subprocess.Popen[str]) -> tuple[int, dict[str, Any]]:
    output, _ = process.communicate(timeout=300)
    assert output, process.returncode
    return process.returncode, last_line(output)


def test_call_fails_with_a_hint_if_the_store_refuses_access(
    store: ObjectStore, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    site = Site(tmp_path, store)
    store.proxy.fault = lambda method, target: fault_proxy.ERROR_403
    # A run first tries whether it may write; the history is only read.
    for is_history, code, outcome, word in (
        (True, 5, "failed", "failed"),
        (False, 2, "input", "error"),
    ):
        assert command.main(RetrainArguments(str(site.conf), history=is_history)) == code
        captured = capsys.readouterr()
        last = last_line(captured.out)
        assert (last["outcome"], last["exit_code"]) == (outcome, code)
        assert last["reason"].startswith(f"{ROOT}/retrain")
        assert last["reason"].endswith(
            "check the credentials and their permissions (docs/how-to/storage.md lists where "
            "credentials are looked up)"
        )
        assert captured.err.endswith(f"{word}: {last['reason']}\n")
        # The outcome file cannot be written either, which does not hide the first error.
        assert ("notify: retrain.outcome_file " in captured.err) != is_history


@pytest.mark.slow
@pytest.mark.timeout(900)
def test_runs_on_an_object_store(
    store: ObjectStore, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    site = Site(tmp_path, store)

    # The first call is killed while it trains; a concurrent call is refused.
    site.draw("first", 150, 1000)
    first = site.start()
    site.wait_for("nights/000001/01-begin.json")
    code, last = wait(site.start())
    assert (code, last["outcome"]) == (4, "busy")
    assert last["reason"].startswith(f"{RETRAIN}: is in use by process {first.pid} on ")
    site.wait_for("nights/000001/model/checkpoints/*.npz")
    os.killpg(first.pid, signal.SIGKILL)
    first.communicate()
    folder = "retrain/nights/000001"
    with site.calls() as call:
        code, last = call()
        assert (code, last["outcome"], last["night"]) == (0, "promoted", 1)
        assert last["champion"] == "1"
        start_entry, train_entry = (
            site.json(f"{folder}/{name}.json") for name in ("05-start", "06-train")
        )
        assert start_entry["fence"] < train_entry["fence"]
        assert train_entry["model"] == f"{ROOT}/{folder}/model"
        assert len(site.client.glob(f"{BUCKET}/{folder}/attempt-*.json")) == 2
        assert site.json("outcome/last.json")["id"] == site.json(f"{folder}/11-outcome.json")["id"]

        # With nothing new, MLflow (unreachable) is not needed.
        code, last = call(overrides=["tracking.uri=http://127.0.0.1:9"])
        assert (code, last["outcome"], last["night"]) == (0, "nothing", 2)
        assert last["champion"] == "1"

        # A call takes the lock of a machine that died over. Old files are removed.
        site.draw("second", 10, 3000)
        write_remote_holding(store, 1 + max(int(Path(name).stem) for name in site.ls("_lock")))
        for unneeded in ("nights/000002/model/file", "datasets/000000-f00d/manifest.json"):
            site.client.pipe_file(f"{BUCKET}/retrain/{unneeded}", b"{}")
        code, last = call()
        assert (code, last["outcome"], last["night"]) == (0, "kept", 3)
        assert last["new_images"] == 20
    models = site.client.glob(f"{BUCKET}/retrain/nights/*/model/network-*")
    assert [path.split("/")[3] for path in models] == ["000001", "000003"]
    assert "model" not in site.ls("nights/000002")
    snapshots = [site.json(f"retrain/nights/00000{n}/03-snapshot.json") for n in (1, 3)]
    assert [f"{ROOT}/retrain/datasets/{name}" for name in site.ls("datasets")] == [
        snapshot["dataset"] for snapshot in snapshots
    ]
    assert not site.client.exists(f"{BUCKET}/retrain/champion")
    tracking = TrackingSettings(uri=f"sqlite:///{tmp_path}/mlflow.db")
    copy = mlflow_model.fetch_model(f"models:/{NAME}@champion", str(tmp_path / "served"), tracking)
    assert copy.endswith(train_entry["digest"])

    capsys.readouterr()
    assert command.main(RetrainArguments(str(site.conf), history=True)) == 0
    *table, _, champion_line = capsys.readouterr().out.splitlines()[2:]
    assert [line.split()[0] for line in table] == ["1", "2", "3"]
    assert champion_line == "champion: version 1"
    assert b"The champion is version <strong>1</strong>" in site.client.cat_file(
        f"{BUCKET}/retrain/index.html"
    )


@pytest.mark.slow
@pytest.mark.timeout(900)
@pytest.mark.parametrize("store", OTHER_STORES, indirect=True)
def test_runs_on_other_stores(store: ObjectStore, tmp_path: Path) -> None:
    """All stages, from the raw images to the promotion, and a second run with new images."""
    site = Site(tmp_path, store)
    site.draw("first", 40, 1000)
    with site.calls() as call:
        code, last = call()
        assert (code, last["outcome"], last["champion"]) == (0, "promoted", "1")
        first = site.json("dataset/manifest.json")
        assert (first["version"], first["inputs"], first["rejects"]) == (1, 80, 0)
        assert first["images"] == f"{store.root}/images"

        site.draw("second", 10, 3000)
        store.proxy.requests.clear()
        code, last = call(overrides=["train.epochs=1"])
        assert (code, last["night"], last["new_images"]) == (0, 2, 20)
    second = site.json("dataset/manifest.json")
    assert (second["version"], second["inputs"], second["rows"]) == (2, 100, 100)
    # Images of the first run are not read again.
    reads = [target for method, target, _ in store.proxy.requests if method == "GET"]
    assert [target for target in reads if "images" in target and "second-" in target]
    assert not [target for target in reads if "images" in target and "first-" in target]
    predictions = site.client.glob(f"{BUCKET}/retrain/nights/000002/scores*/**/*.parquet")
    assert len(predictions) >= 2
    texts = [site.client.cat_file(path) for path in site.client.find(BUCKET)]
    assert not [text for text in texts for secret in store.secrets if secret.encode() in text]
