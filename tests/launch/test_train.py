"""Real training jobs whose ranks are lost, stopped, or run in Spark or on another host."""

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
from halftone.launch.train import settings_notes, train_model
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
    for _ in range(6000):
        text = log.read_text() if log.exists() else ""
        pids = re.findall(rf"^=== attempt {attempt}, .*pid (\d+) ===$", text, re.MULTILINE)
        if pids:
            return psutil.Process(int(pids[-1]))
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
def test_killed_ranks_are_restarted(start: Train, tmp_path: Path, temporary: Path) -> None:
    model = tmp_path / "model"
    process = start("model", ranks=2, epochs=40)
    rank_process(model, 1).kill()  # while it starts
    other = rank_process(model, 1, attempt=2)
    wait_for(model / "checkpoints" / "epoch-0002.npz", process)
    rank_process(model, 0, attempt=2).kill()
    wait_until_gone(other, secs=60)
    output = finish(process)

    restarts = model_directory.read_model_info(str(model)).restarts
    epoch = restarts[-1].epoch
    assert epoch >= 2
    assert restarts == [
        Restart(epoch=0, message="rank 1 was killed by signal 9"),
        Restart(epoch=epoch, message="rank 0 was killed by signal 9"),
    ]
    assert "restarting (1 of 2) from the start: rank 1 was killed by signal 9\n" in output
    assert f"restarting (2 of 2) after epoch {epoch}: rank 0 was killed by signal 9\n" in output
    assert f"resuming after epoch {epoch}, from {model}/checkpoints\n" in output
    assert [entry["epoch"] for entry in history(model)] == list(range(1, 41))
    for rank in (0, 1):
        log = (model / "logs" / f"rank-{rank}.log").read_text()
        assert re.findall(r"^=== attempt (\d), ", log, re.MULTILINE) == ["1", "2", "3"]
        assert ("epoch 40/40: " in log) == (rank == 0)
    assert (model / "curves.png").read_bytes().startswith(b"\x89PNG")
    assert list(temporary.iterdir()) == []


@pytest.mark.slow
def test_hanging_rank_is_detected(
    start: Train, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    model = tmp_path / "model"
    monkeypatch.setenv("HOROVOD_GLOO_TIMEOUT_SECONDS", "3")  # 60 unless set
    process = start("model", ranks=2, epochs=500, max_restarts=0)
    hung = rank_process(model, 1)
    wait_for(model / "checkpoints" / "epoch-0001.npz", process)
    hung.suspend()
    output = finish(process, code=1)
    wait_until_gone(hung, secs=1)
    assert output.splitlines()[-1] == (
        "failed: rank 1 stopped responding, and train.max_restarts is 0; run the same "
        f"command again to go on after epoch {last_epoch(model)}. Its log is "
        f"{model}/logs/rank-1.log"
    )


@pytest.mark.slow
def test_stop_request_writes_a_checkpoint(start: Train, tmp_path: Path) -> None:
    model = tmp_path / "model"
    end = rf" is in {model}/checkpoints; run the same command again to go on"
    process = start("model", ranks=2, epochs=500)
    wait_for(model / "checkpoints" / "epoch-0001.npz", process)
    process.terminate()
    output = finish(process, code=143).splitlines()
    assert re.fullmatch(rf"stopped: the checkpoint of epoch \d+(, step \d of 5,)?{end}", output[-1])
    assert "stopping: the ranks write a checkpoint" in output
    assert not (model / "stop").exists()


@pytest.mark.parametrize(
    ("number", "code", "word"),
    [(signal.SIGINT, 130, "interrupted"), (signal.SIGTERM, 143, "stopped")],
)
def test_signal_to_the_only_rank(
    start: Train, tmp_path: Path, number: int, code: int, word: str
) -> None:
    process = start("model", epochs=500)
    wait_for(tmp_path / "model" / "checkpoints" / "epoch-0001.npz", process)
    process.send_signal(number)
    output = finish(process, code=code).splitlines()[-1]
    assert re.match(rf"{word}: the checkpoint of epoch \d+", output)


def test_ranks_end_when_their_job_is_killed(start: Train, tmp_path: Path) -> None:
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
    output = finish(process)
    (restart,) = model_directory.read_model_info(str(model)).restarts
    assert restart.message == "rank 1 was killed by signal 9"
    assert "2 ranks (spark), batch 16 = 2 x 8" in output
    assert [entry["epoch"] for entry in history(model)] == list(range(1, 41))
    log = (model / "logs" / "rank-1.log").read_text()
    assert re.findall(r"^=== attempt (\d), ", log, re.MULTILINE) == ["1", "2"]


@pytest.mark.slow
@pytest.mark.skipif(INTERFACE is None, reason="needs a network interface besides the loopback")
def test_rank_on_another_host(
    start: Train, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A fake `ssh` runs the remote command on this machine."""
    ssh = tmp_path / "bin" / "ssh"
    ssh.parent.mkdir()
    arguments = tmp_path / "ssh-arguments"
    ssh.write_text(f'#!/bin/sh\necho "$@" > {arguments}\nfor last; do :; done\nsh -c "$last"\n')
    ssh.chmod(0o755)
    monkeypatch.setenv("PATH", f"{ssh.parent}:{os.environ['PATH']}")
    hosts = {"hosts": "localhost:1,other.invalid:1", "network_interface": INTERFACE}
    output = finish(start("model", ranks=2, **hosts))
    assert "2 ranks (horovodrun), batch 16 = 2 x 8" in output
    assert [entry["epoch"] for entry in history(tmp_path / "model")] == [1, 2, 3, 4]
    options = "-o BatchMode=yes -o ServerAliveInterval=15"
    assert arguments.read_text().startswith(f"{options} other.invalid cd ")
    assert arguments.read_text().endswith("-m halftone.launch.rank; exit $?\n")
    log = (tmp_path / "model" / "logs" / "rank-1.log").read_text()
    assert ", other.invalid, by ssh with pid " in log


def shard_of_rank_1(dataset: Path) -> Path:
    """The last of the shards that only rank 1 of 2 reads."""
    plan = epoch_plan.plan_epoch(
        manifest.read_shards(str(dataset), manifest.read_manifest(str(dataset)), "train"),
        world_size=2,
        batch_size=16,
        seed=7,
        epoch=1,
    )
    path = plan.rank_slices[1][-1].shard.path
    assert all(shard_slice.shard.path != path for shard_slice in plan.rank_slices[0])
    return dataset / path


def test_damaged_shard_is_reported_once_without_a_restart(start: Train, dataset: Path) -> None:
    shard = shard_of_rank_1(dataset)
    shard.write_bytes(b"x" * shard.stat().st_size)  # another size would be found by the driver
    output = finish(start("model", ranks=2), code=2).splitlines()
    assert output[-1].startswith(f"error: rank 1: {shard} is damaged (Parquet magic bytes not ")
    assert output[-1].endswith("); restore it, or run preprocess again with a new --output")
    assert not any(line.startswith(("Traceback", "restarting")) for line in output)


@pytest.mark.slow
def test_root_cause_is_the_last_line(start: Train, dataset: Path, tmp_path: Path) -> None:
    shard = shard_of_rank_1(dataset)
    pq.write_table(pq.read_table(shard).drop(["image"]), shard)  # an unexpected error
    raw_manifest = json.loads((dataset / "manifest.json").read_text())
    for file in raw_manifest["files"]:
        file["size_bytes"] = (dataset / file["path"]).stat().st_size
    (dataset / "manifest.json").write_text(json.dumps(raw_manifest))
    output = finish(start("model", ranks=2, max_restarts=0), code=1).splitlines()
    log = tmp_path / "model" / "logs" / "rank-1.log"
    assert output[-1] == (
        "failed: rank 1: KeyError: 'Field \"image\" does not exist in table schema', and "
        "train.max_restarts is 0; run the same command again to go on from the start. Its log is "
        f"{log}"
    )
    assert not any(line.startswith("Traceback") for line in output)
    assert " rank 1: Traceback (most recent call last):\n" in log.read_text()


def test_driver_does_not_load_tensorflow() -> None:
    code = (
        "import sys; from halftone.launch import rendezvous, train\n"
        "with rendezvous.start_rendezvous({'localhost': 2}, 2, '127.0.0.1') as environments: pass\n"
        "print(len(environments), 'tensorflow' in sys.modules)"
    )
    process = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True
    )
    assert process.stdout == "2 False\n"


@pytest.fixture
def train_error(tmp_path: Path, config: Callable[..., Config]) -> Callable[..., str]:
    """Start a training that is refused, and return the error message."""
    from example_manifest import example

    manifest.publish_manifest(str(tmp_path / "dataset"), example())
    (tmp_path / "dataset" / "train").mkdir()
    (tmp_path / "dataset" / "train" / "a.parquet").write_bytes(b"9 bytes.\n")

    def train(**settings: object) -> str:
        with pytest.raises(InputError) as caught:
            train_model(
                config(train=settings),
                str(tmp_path / "dataset"),
                str(tmp_path / "model"),
                lambda: pytest.fail("needs no Spark"),
            )
        return str(caught.value)

    return train


def test_note_on_batch_normalisation_with_few_steps(
    config: Callable[..., Config],
) -> None:
    def notes(rows: int, epochs: int = 12, **settings: object) -> list[str]:
        model = {"name": "convnet", "batch_norm": True, **settings}
        train = {"epochs": epochs, "batch_size": 64, "model": model}
        return settings_notes(config(train=train).train, rows)

    assert notes(864) == [
        "after all 168 steps batch normalisation's running mean and deviation, which validation "
        "and scoring use, still hold 18% of their initial values; use "
        "train.model.batch_norm_momentum 0.9 (it is 0.99), or more epochs"
    ]
    assert notes(864, batch_norm_momentum=0.9) == []
    assert notes(864, batch_norm=False) == []
    residual = settings_notes(
        config(train={"batch_size": 64, "epochs": 1, "model": {"name": "residual"}}).train, 20 * 64
    )
    assert len(residual) == 1  # 0.9 ** 20 is 0.12
    # 0.99 ** 298 is just above 0.05, 0.99 ** 299 is below it.
    assert len(notes(298 * 64, epochs=1)) == 1
    assert notes(298 * 64 + 1, epochs=1) == []


def test_metric_without_validation_rows_is_refused(
    train_error: Callable[..., str], tmp_path: Path
) -> None:
    assert train_error(best_by="val_auc", model={"name": "mlp"}) == (
        "train.best_by val_auc needs validation rows of at least 2 classes; "
        f"{tmp_path}/dataset has those of 0. Preprocess with a larger splits.validation_fraction, "
        "or use best_by val_loss"
    )


def test_weights_of_classes_that_the_dataset_lacks_are_refused(
    train_error: Callable[..., str],
) -> None:
    assert train_error(class_weights={"cow": 2.0}, model={"name": "mlp"}) == (
        "train.class_weights names cow; the dataset has cat, dog. Leave them out, or correct "
        "their names"
    )


def test_images_too_small_for_the_network_are_refused(train_error: Callable[..., str]) -> None:
    assert train_error(model={"name": "convnet", "filters": [4, 4, 4]}) == (
        "images of height 8 px are too small for train.model: the pooling after convolution 2 "
        "needs 2 px and gets 1; use pool_padding same, a shorter pool_after or fewer filters, or "
        "preprocess to a larger size"
    )


def test_dataset_without_pixel_statistics_is_refused(
    tmp_path: Path, train_error: Callable[..., str]
) -> None:
    path = tmp_path / "dataset" / "manifest.json"
    raw_manifest = json.loads(path.read_text())
    for file in raw_manifest["files"]:
        del file["sums"], file["square_sums"]
    path.write_text(json.dumps(raw_manifest))
    assert train_error(normalise="standard") == (
        "the train split of the dataset made from /images has no pixel statistics (written by an "
        "older Halftone); run preprocess with a new --output, or use train.normalise 0..1 "
        "and train.augment.cutout_px 0"
    )


def test_empty_train_split_is_refused(tmp_path: Path, train_error: Callable[..., str]) -> None:
    path = tmp_path / "dataset" / "manifest.json"
    raw_manifest = json.loads(path.read_text())
    raw_manifest["files"] = [file for file in raw_manifest["files"] if file["split"] != "train"]
    path.write_text(json.dumps(raw_manifest))
    assert train_error() == (
        f"{tmp_path}/dataset: the train split is empty; preprocess with smaller fractions for the "
        "others"
    )


def test_output_that_is_no_model_is_refused(
    train_error: Callable[..., str], tmp_path: Path
) -> None:
    (tmp_path / "model").mkdir()
    (tmp_path / "model" / "thesis.doc").write_text("years of work")
    assert train_error() == (
        f"{tmp_path}/model: exists and is not a model (it holds thesis.doc); give another --output"
    )


def test_missing_shard_is_found_before_the_ranks_start(
    train_error: Callable[..., str], tmp_path: Path
) -> None:
    (tmp_path / "dataset" / "train" / "a.parquet").unlink()
    assert train_error(model={"name": "mlp"}) == (
        f"{tmp_path}/dataset: train/a.parquet is missing; restore it from a backup, or remove the "
        "dataset and run jobs/preprocess.py again"
    )
    assert not (tmp_path / "model").exists()


def test_output_that_cannot_be_written_is_found_before_the_ranks_start(
    train_error: Callable[..., str], tmp_path: Path
) -> None:
    (tmp_path / "model").touch()
    assert train_error(model={"name": "mlp"}) == (
        f"{tmp_path}/model: cannot be written: it, or a part of its path, is a file; give another "
        "path"
    )


def test_more_ranks_than_slots_are_refused(train_error: Callable[..., str]) -> None:
    message = train_error(ranks=2, hosts="localhost:1", model={"name": "mlp"})
    assert message.startswith("train.ranks is 2, but train.hosts (localhost:1) has 1 slot; ")


def test_hosts_for_another_launcher_are_refused(train_error: Callable[..., str]) -> None:
    assert train_error(hosts="localhost:1", launcher="process", model={"name": "mlp"}) == (
        "train.hosts is localhost:1, which train.launcher process does not use; use launcher "
        "horovodrun, or remove hosts"
    )


def test_more_ranks_than_training_rows_are_refused(
    tmp_path: Path, train_error: Callable[..., str]
) -> None:
    path = tmp_path / "dataset" / "manifest.json"
    raw_manifest = json.loads(path.read_text())
    for file in raw_manifest["files"]:
        file["rows"] = 0 if file["split"] == "train" else file["rows"]
    raw_manifest["files"][0].update(split="train", rows=2)
    path.write_text(json.dumps(raw_manifest))
    assert train_error(ranks=3, batch_size=3) == (
        f"train.ranks is 3, but the train split of {tmp_path}/dataset has 2 rows; use train.ranks=2"
    )
