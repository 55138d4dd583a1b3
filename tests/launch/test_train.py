"""Trainings whose ranks are lost, asked to stop, or elsewhere: real ranks of real jobs."""

from __future__ import annotations

import json
import os
import re
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Callable

import psutil
import pyarrow.parquet as pq
import pytest

from halftone import model_directory
from halftone.config import Config
from halftone.dataset import manifest
from halftone.errors import InputError
from halftone.feed import epoch_plan
from halftone.launch.train import settings_notes as training_notes
from halftone.launch.train import train_model as train_model
from halftone.model_directory import Restart
from halftone.system import interfaces
from training_jobs import Train, finish, history, wait_for

INTERFACE = next(
    (name for name, ip in interfaces.ipv4_addresses().items() if ip != "127.0.0.1"), None
)


@pytest.fixture
def temporary(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The folder for temporary files of the jobs that are started."""
    folder = tmp_path / "temporary"
    folder.mkdir()
    monkeypatch.setenv("TMPDIR", str(folder))
    return folder


def rank_process(model: Path, rank: int, attempt: int = 1) -> psutil.Process:
    """The process of a rank, as soon as the attempt has started it."""
    log = model / "logs" / f"rank-{rank}.log"
    for _ in range(1200):
        text = log.read_text() if log.exists() else ""
        found = re.findall(rf"^=== attempt {attempt}, .*pid (\d+) ===$", text, re.MULTILINE)
        if found:
            return psutil.Process(int(found[-1]))
        time.sleep(0.05)
    raise TimeoutError(log)


def wait_until_gone(process: psutil.Process, secs: float) -> None:
    deadline = time.monotonic() + secs
    while process.is_running() and process.status() != psutil.STATUS_ZOMBIE:
        assert time.monotonic() < deadline, process
        time.sleep(0.05)


def last_epoch(model: Path) -> int:
    return max(int(path.stem[6:10]) for path in (model / "checkpoints").iterdir())


@pytest.mark.slow
def test_ranks_that_are_killed_are_started_again(
    start: Train, tmp_path: Path, temporary: Path
) -> None:
    model = tmp_path / "model"
    process = start("model", ranks=2, epochs=40)
    rank_process(model, 1).kill()  # while it starts
    other = rank_process(model, 1, attempt=2)
    wait_for(model / "checkpoints" / "epoch-0002.npz", process)
    rank_process(model, 0, attempt=2).kill()
    wait_until_gone(other, secs=60)
    said = finish(process)

    restarts = model_directory.read_model_info(str(model)).restarts
    epoch = restarts[-1].epoch
    assert epoch >= 2
    assert restarts == [
        Restart(epoch=0, message="rank 1 was killed by signal 9"),
        Restart(epoch=epoch, message="rank 0 was killed by signal 9"),
    ]
    assert "restarting (1 of 2) from the start: rank 1 was killed by signal 9\n" in said
    assert f"restarting (2 of 2) after epoch {epoch}: rank 0 was killed by signal 9\n" in said
    assert f"going on after epoch {epoch}, from {model}/checkpoints\n" in said
    assert [entry["epoch"] for entry in history(model)] == list(range(1, 41))
    for rank in (0, 1):
        log = (model / "logs" / f"rank-{rank}.log").read_text()
        assert re.findall(r"^=== attempt (\d), ", log, re.MULTILINE) == ["1", "2", "3"]
        assert ("epoch 40/40: " in log) == (rank == 0)
    assert (model / "curves.png").read_bytes().startswith(b"\x89PNG")
    assert list(temporary.iterdir()) == []


@pytest.mark.slow
def test_a_rank_that_hangs_is_found_out(
    start: Train, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    model = tmp_path / "model"
    monkeypatch.setenv("HOROVOD_GLOO_TIMEOUT_SECONDS", "3")  # 60 unless set
    process = start("model", ranks=2, epochs=500, max_restarts=0)
    hung = rank_process(model, 1)
    wait_for(model / "checkpoints" / "epoch-0001.npz", process)
    hung.suspend()
    said = finish(process, code=1)
    wait_until_gone(hung, secs=1)
    assert said.splitlines()[-1] == (
        "failed: rank 1 did not answer any more, and train.max_restarts is 0; run the same "
        f"command again to go on after epoch {last_epoch(model)}. Its log is "
        f"{model}/logs/rank-1.log"
    )


@pytest.mark.slow
def test_asked_to_stop_the_ranks_write_a_checkpoint(start: Train, tmp_path: Path) -> None:
    model = tmp_path / "model"
    end = rf" is in {model}/checkpoints; run the same command again to go on"
    process = start("model", ranks=2, epochs=500)
    wait_for(model / "checkpoints" / "epoch-0001.npz", process)
    process.terminate()
    said = finish(process, code=143).splitlines()
    assert re.fullmatch(rf"stopped: the checkpoint of epoch \d+(, step \d of 5,)?{end}", said[-1])
    assert "stopping: the ranks write a checkpoint" in said
    assert not (model / "stop").exists()

    first = last_epoch(model)
    (model / "stop").touch()  # as a job leaves it that is killed
    process = start("model", ranks=2, epochs=500)
    wait_for(model / "checkpoints" / f"epoch-{first + 1:04d}.npz", process)
    process.send_signal(signal.SIGINT)
    said = finish(process, code=130).splitlines()
    assert any(line.startswith("going on after epoch ") for line in said)
    assert re.fullmatch(
        rf"interrupted: the checkpoint of epoch \d+(, step \d of 5,)?{end}", said[-1]
    )
    assert not (model / "stop").exists()


def test_an_interrupt_of_the_only_rank(start: Train, tmp_path: Path) -> None:
    process = start("model", epochs=500)
    wait_for(tmp_path / "model" / "checkpoints" / "epoch-0001.npz", process)
    process.send_signal(signal.SIGINT)
    said = finish(process, code=130).splitlines()[-1]
    assert re.match(r"interrupted: the checkpoint of epoch \d+", said)


def test_a_killed_job_takes_its_ranks_with_it(start: Train, tmp_path: Path) -> None:
    model = tmp_path / "model"
    process = start("model", ranks=2, epochs=500)
    ranks = [rank_process(model, rank) for rank in (0, 1)]
    wait_for(model / "checkpoints" / "epoch-0001.npz", process)
    ranks[1].suspend()
    process.kill()
    for rank in ranks:
        wait_until_gone(rank, secs=10)
    process.communicate()


@pytest.mark.slow
def test_ranks_in_spark_executors(start: Train, tmp_path: Path) -> None:
    model = tmp_path / "model"
    process = start("model", ranks=2, launcher="spark", epochs=40)
    wait_for(model / "checkpoints" / "epoch-0002.npz", process)
    rank_process(model, 1).kill()
    said = finish(process)
    (restart,) = model_directory.read_model_info(str(model)).restarts
    assert restart.message == "rank 1 was killed by signal 9"
    assert "2 ranks (spark), batch 16 = 2 x 8" in said
    assert [entry["epoch"] for entry in history(model)] == list(range(1, 41))
    log = (model / "logs" / "rank-1.log").read_text()
    assert re.findall(r"^=== attempt (\d), ", log, re.MULTILINE) == ["1", "2"]


@pytest.mark.slow
@pytest.mark.skipif(INTERFACE is None, reason="needs a network interface besides the loopback")
def test_a_rank_on_another_host(
    start: Train, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """This machine plays the other one: an `ssh` that has a shell here do what it is told."""
    ssh = tmp_path / "bin" / "ssh"
    ssh.parent.mkdir()
    told = tmp_path / "told"
    ssh.write_text(f'#!/bin/sh\necho "$@" > {told}\nfor last; do :; done\nsh -c "$last"\n')
    ssh.chmod(0o755)
    monkeypatch.setenv("PATH", f"{ssh.parent}:{os.environ['PATH']}")
    hosts = {"hosts": "localhost:1,other.invalid:1", "network_interface": INTERFACE}
    said = finish(start("model", ranks=2, **hosts))
    assert "2 ranks (horovodrun), batch 16 = 2 x 8" in said
    assert [entry["epoch"] for entry in history(tmp_path / "model")] == [1, 2, 3, 4]
    options = "-o BatchMode=yes -o ServerAliveInterval=15"
    assert told.read_text().startswith(f"{options} other.invalid cd ")
    assert told.read_text().endswith("-m halftone.launch.rank; exit $?\n")
    log = (tmp_path / "model" / "logs" / "rank-1.log").read_text()
    assert ", other.invalid, by ssh with pid " in log


def shard_of_rank_1(dataset: Path) -> Path:
    """The last shard that only rank 1 of 2 reads."""
    plan = epoch_plan.plan_epoch(
        manifest.read_manifest(str(dataset)).shards("train"),
        world_size=2,
        batch_size=16,
        seed=7,
        epoch=1,
    )
    path = plan.rank_slices[1][-1].shard.path
    assert all(piece.shard.path != path for piece in plan.rank_slices[0])
    return dataset / path


def test_a_damaged_shard_is_said_once_and_not_tried_again(start: Train, dataset: Path) -> None:
    shard = shard_of_rank_1(dataset)
    shard.write_bytes(b"no Parquet")
    said = finish(start("model", ranks=2), code=1).splitlines()
    assert said[-1].startswith(f"failed: rank 1: {shard} is damaged (Parquet magic bytes not ")
    assert said[-1].endswith("); restore it, or run preprocess again with a new --output")
    assert not any(line.startswith(("Traceback", "restarting")) for line in said)


def test_what_failed_first_is_said_last(start: Train, dataset: Path, tmp_path: Path) -> None:
    shard = shard_of_rank_1(dataset)
    pq.write_table(pq.read_table(shard).drop(["image"]), shard)  # what no one foresees
    said = finish(start("model", ranks=2, max_restarts=0), code=1).splitlines()
    log = tmp_path / "model" / "logs" / "rank-1.log"
    assert said[-1] == (
        "failed: rank 1: KeyError: 'Field \"image\" does not exist in table schema', and "
        "train.max_restarts is 0; run the same command again to go on from the start. Its log is "
        f"{log}"
    )
    assert not any(line.startswith("Traceback") for line in said)
    assert "\nTraceback (most recent call last):\n" in log.read_text()


def test_the_driver_loads_no_tensorflow() -> None:
    code = (
        "import sys; from halftone.launch import rendezvous, train\n"
        "with rendezvous.start_rendezvous({'localhost': 2}, 2, '127.0.0.1') as places: pass\n"
        "print(len(places), 'tensorflow' in sys.modules)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout == "2 False\n"


@pytest.fixture
def refused(tmp_path: Path, config: Callable[..., Config]) -> Callable[..., str]:
    """Ask for a training that cannot be, and return what is said of it."""
    from example_manifest import example

    manifest.publish_manifest(str(tmp_path / "dataset"), example())

    def refused_(**train: object) -> str:
        with pytest.raises(InputError) as caught:
            train_model(
                config(train=train),
                str(tmp_path / "dataset"),
                str(tmp_path / "model"),
                lambda: pytest.fail("wants Spark"),
            )
        return str(caught.value)

    return refused_


def test_batch_normalisation_that_training_ends_too_early_for(
    config: Callable[..., Config],
) -> None:
    def notes(rows: int, epochs: int = 12, **settings: object) -> list[str]:
        model = {"name": "convnet", "batch_norm": True, **settings}
        train = {"epochs": epochs, "batch_size": 64, "model": model}
        return training_notes(config(train=train).train, rows)

    assert notes(864) == [
        "after all 168 steps batch normalisation's running mean and deviation, with which the "
        "model validates and scores, are still 18% what they began with; use "
        "train.model.batch_norm_momentum 0.9 (it is 0.99), or more epochs"
    ]
    assert notes(864, batch_norm_momentum=0.9) == []
    assert notes(864, batch_norm=False) == []
    # 0.99 to the power of 298 is 0.0500 rounded up, of 299 below it.
    assert len(notes(298 * 64, epochs=1)) == 1
    assert notes(298 * 64 + 1, epochs=1) == []


def test_images_too_small_for_the_network(refused: Callable[..., str]) -> None:
    assert refused(model={"name": "convnet", "filters": [4, 4, 4]}) == (
        "images of height 8 px are too small for train.model: the pooling after convolution 2 "
        "needs 2 px and gets 1; use pool_padding same, a shorter pool_after or fewer filters, or "
        "preprocess to a larger size"
    )


def test_statistics_that_the_dataset_does_not_have(
    tmp_path: Path, refused: Callable[..., str]
) -> None:
    path = tmp_path / "dataset" / "manifest.json"
    written = json.loads(path.read_text())
    for file in written["files"]:
        del file["sums"], file["square_sums"]
    path.write_text(json.dumps(written))
    assert refused(normalise="standard") == (
        "the train split of the dataset made from /images has no pixel statistics (written by an "
        "older Halftone); run preprocess with a new --output, or use train.normalise 0..1"
    )


def test_an_empty_train_split(tmp_path: Path, refused: Callable[..., str]) -> None:
    path = tmp_path / "dataset" / "manifest.json"
    written = json.loads(path.read_text())
    written["files"] = [file for file in written["files"] if file["split"] != "train"]
    path.write_text(json.dumps(written))
    assert refused() == (
        f"{tmp_path}/dataset: the train split is empty; preprocess with smaller fractions for the "
        "others"
    )


def test_an_output_that_is_something_else(refused: Callable[..., str], tmp_path: Path) -> None:
    (tmp_path / "model").mkdir()
    (tmp_path / "model" / "thesis.doc").write_text("years of work")
    assert refused() == (
        f"{tmp_path}/model: exists and is not a model (it holds thesis.doc); give another --output"
    )


def test_more_ranks_than_slots_of_the_hosts(refused: Callable[..., str]) -> None:
    said = refused(ranks=2, hosts="localhost:1", model={"name": "mlp"})
    assert said.startswith("train.ranks is 2, but train.hosts (localhost:1) has 1 slot; ")


def test_hosts_for_another_launcher(refused: Callable[..., str]) -> None:
    assert refused(hosts="localhost:1", launcher="process", model={"name": "mlp"}) == (
        "train.hosts is localhost:1, which train.launcher process does not use; use launcher "
        "horovodrun, or take hosts out"
    )
