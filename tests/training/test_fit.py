"""Real training jobs: one rank in the job's process, or several local ones."""

from __future__ import annotations

import json
import os
import re
import shutil
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any, Callable

import numpy as np
import pyarrow.parquet as pq
import pytest
import yaml
from pyspark.sql import SparkSession

from halftone import model_directory
from halftone.config import Config
from halftone.dataset.manifest import read_manifest, read_shards
from halftone.locking.output import hold_output
from halftone.metrics import epochs
from halftone.preprocess.run import preprocess
from halftone.training import checkpoint
from training_jobs import MODEL, Train, finish, history, wait_for, weights


def test_training_writes_the_model_directory(start: Train, tmp_path: Path) -> None:
    output = finish(start("model"))
    assert output.splitlines()[-1] == f"model: {tmp_path}/model"
    assert "epoch 4/4: loss " in output
    info = model_directory.read_model_info(str(tmp_path / "model"))
    assert info.labels == ["lying", "upright"]
    assert info.shape() == (16, 16, 1)
    assert (info.config.train.epochs, info.ranks) == (4, 1)
    assert (tmp_path / "model" / info.network).exists()
    entries = history(tmp_path / "model")
    assert [entry["epoch"] for entry in entries] == [1, 2, 3, 4]
    assert set(entries[0]) == {"epoch", "loss", "accuracy", "val_loss", "val_accuracy"}
    assert info.best_epoch == epochs.best_epoch(entries)
    assert min(entry["loss"] for entry in entries) < entries[0]["loss"]


def test_finished_training_is_not_repeated(start: Train, tmp_path: Path) -> None:
    finish(start("model"))
    model = tmp_path / "model"
    model_json = (model / "model.json").read_bytes()
    (model / "curves.png").unlink()
    with hold_output(str(model), "train"):
        output = finish(start("model"))
        busy = finish(start("model", epochs=5), code=75)
    assert output.startswith(f"nothing to do: the training at {model} is finished")
    assert (model / "model.json").read_bytes() == model_json
    assert (model / "curves.png").exists()
    assert busy.startswith(f"busy: {model}: is in use by process {os.getpid()} on ")
    assert [path.name for path in (model / "checkpoints").glob("epoch-0005*")] == []


@pytest.mark.slow
def test_training_killed_after_its_last_checkpoint_is_completed(
    start: Train, tmp_path: Path
) -> None:
    finish(start("model"))
    epochs = history(tmp_path / "model")
    version = model_directory.read_model_info(str(tmp_path / "model")).version
    (tmp_path / "model" / "model.json").unlink()
    network = tmp_path / "model" / f"network-{version}.keras"
    network_bytes = network.read_bytes()
    path = tmp_path / "model" / "history.json"
    content = json.loads(path.read_text())
    path.write_text(json.dumps({**content, "epochs": content["epochs"][:3]}))
    output = finish(start("model"))
    assert output.splitlines()[-1] == f"model: {tmp_path}/model"
    assert history(tmp_path / "model") == epochs
    assert model_directory.read_model_info(str(tmp_path / "model")).version == version

    # So is one whose files were removed; without a checkpoint that cannot be.
    for name in (network, path):
        name.unlink()
    finish(start("model"))
    assert history(tmp_path / "model") == epochs
    assert len(network.read_bytes()) == len(network_bytes)
    network.unlink()
    shutil.rmtree(tmp_path / "model" / "checkpoints")
    assert finish(start("model"), code=2) == (
        f"error: {tmp_path}/model: {network.name} of the model is missing, and there is no "
        "checkpoint to make it from; restore it, or remove the folder to train again\n"
    )


@pytest.mark.slow
def test_resume_after_a_kill_gives_the_same_weights(start: Train, tmp_path: Path) -> None:
    finish(start("undisturbed"))
    process = start("killed")
    wait_for(tmp_path / "killed" / "checkpoints" / "epoch-0002.npz", process)
    process.kill()
    finish(process, -signal.SIGKILL)
    assert not (tmp_path / "killed" / "model.json").exists()
    output = finish(start("killed"))
    assert "resuming after epoch " in output
    assert history(tmp_path / "killed") == history(tmp_path / "undisturbed")
    for actual, expected in zip(weights(tmp_path / "killed"), weights(tmp_path / "undisturbed")):
        np.testing.assert_array_equal(actual, expected)


@pytest.mark.slow
def test_more_epochs_resume_a_finished_training(start: Train, tmp_path: Path) -> None:
    finish(start("at_once"))
    finish(start("in_two", epochs=2))
    output = finish(start("in_two"))
    assert "resuming after epoch 2" in output
    for actual, expected in zip(weights(tmp_path / "in_two"), weights(tmp_path / "at_once")):
        np.testing.assert_array_equal(actual, expected)


def test_training_with_other_settings_is_not_resumed(start: Train, tmp_path: Path) -> None:
    finish(start("model", epochs=1))
    output = finish(start("model", epochs=2, learning_rate=0.5), code=2)
    assert output == (
        f"error: {tmp_path}/model holds a training with other settings: "
        "train.learning_rate: 0.001 there, 0.5 now. Give another --output, or remove it\n"
    )


@pytest.mark.slow
def test_all_epochs_have_one_order_without_shuffling(start: Train, tmp_path: Path) -> None:
    for cache in ("memory", "none"):
        finish(start(cache, cache=cache, shuffle=False))
    # Cached rows come in the order of the first epoch, streamed rows are read anew.
    for cached, streamed in zip(weights(tmp_path / "memory"), weights(tmp_path / "none")):
        np.testing.assert_array_equal(cached, streamed)
    finish(start("shuffled", cache="none"))
    assert history(tmp_path / "shuffled") != history(tmp_path / "none")


@pytest.mark.slow
def test_start_from_the_weights_of_another_training(start: Train, tmp_path: Path) -> None:
    first, model = str(tmp_path / "first"), {**MODEL, "batch_norm": False}
    finish(start("first", model=model))
    # The learning rate is too small to change the loss.
    output = finish(start("second", start_from=first, epochs=1, learning_rate=1e-9, model=model))
    assert f"starting from the weights of {first}\n" in output
    before, after = history(tmp_path / "first"), history(tmp_path / "second")
    best = before[model_directory.read_model_info(first).best_epoch - 1]
    assert after[0]["val_loss"] == pytest.approx(best["val_loss"], abs=1e-6)
    other = {**model, "filters": [4, 8]}
    output = finish(start("third", start_from=first, model=other), code=2)
    assert output == (
        f"error: train.start_from: the network at {first} differs: filters (4,) there, (4, 8) "
        "here. Use its train.model and train.normalise, or leave start_from out\n"
    )


def test_two_ranks_train_together(start: Train, tmp_path: Path) -> None:
    output = finish(start("model", ranks=2))
    assert "2 ranks (horovodrun), batch 16 = 2 x 8" in output
    assert [entry["epoch"] for entry in history(tmp_path / "model")] == [1, 2, 3, 4]
    assert model_directory.read_model_info(str(tmp_path / "model")).ranks == 2


@pytest.mark.slow
def test_validation_is_the_same_on_any_number_of_ranks(start: Train, tmp_path: Path) -> None:
    one_rank, two_ranks, three_ranks = (
        constant_metrics(start, tmp_path, ranks, ("val_loss", "val_accuracy"))
        for ranks in (1, 2, 3)
    )
    assert two_ranks == pytest.approx(one_rank, abs=1e-6)
    assert three_ranks == pytest.approx(one_rank, abs=1e-6)


def constant_metrics(
    start: Train, tmp_path: Path, ranks: int, names: tuple[str, ...]
) -> list[float]:
    """Metrics of a training that keeps its initial weights and drops nothing out.

    They depend on which rows are read, and not on how the ranks share them.
    """
    settings = {"epochs": 1, "learning_rate": 1e-30, "batch_size": 12}
    model = {**MODEL, "batch_norm": False, "dense_dropout": 0.0}
    finish(start(f"ranks_{ranks}", ranks=ranks, model=model, **settings))
    (entry,) = history(tmp_path / f"ranks_{ranks}")
    return [entry[name] for name in names]


@pytest.fixture
def one_row_group_per_split(
    spark: SparkSession,
    dataset: Path,
    draw_images: Callable[..., Path],
    config: Callable[..., Config],
) -> Path:
    """The dataset at the path of `dataset`, replaced by one with a single row group per split."""
    shutil.rmtree(dataset)
    settings = config(
        preprocess={"rows_per_shard": 1000},
        splits={"validation_fraction": 0.25, "test_fraction": 0.1},
    )
    images = draw_images("images_of_one_shard", each=30)
    preprocess(settings, str(images), str(dataset), lambda: spark)
    return dataset


@pytest.mark.slow
def test_more_ranks_than_row_groups(
    start: Train, tmp_path: Path, one_row_group_per_split: Path
) -> None:
    manifest = read_manifest(str(one_row_group_per_split))
    for split in ("train", "validation"):
        (shard,) = read_shards(str(one_row_group_per_split), manifest, split)
        row_groups = pq.ParquetFile(one_row_group_per_split / shard.path).num_row_groups
        assert (row_groups, shard.rows > 3) == (1, True)
    names = ("loss", "accuracy", "val_loss", "val_accuracy")
    one_rank, three_ranks = (constant_metrics(start, tmp_path, ranks, names) for ranks in (1, 3))
    # Equal means over the rows: each of the three ranks has read its third of the row group.
    assert three_ranks == pytest.approx(one_rank, abs=1e-6)


def test_nonfinite_loss_stops_the_training(start: Train, tmp_path: Path) -> None:
    output = finish(start("model", optimizer="sgd", learning_rate=1e30), code=1)
    assert output.splitlines()[-1] == (
        "failed: epoch 1, step 2: the training loss is not finite; no checkpoint yet. Lower "
        "train.learning_rate (it is 1e+30), or set train.clip_norm"
    )
    assert checkpoint.list_epochs(str(tmp_path / "model" / "checkpoints")) == []


def test_weights_that_are_not_finite_are_not_checkpointed(start: Train, tmp_path: Path) -> None:
    # Both losses of the epoch are finite; the weight decay of its last step overflows.
    settings = {"optimizer": "sgd", "learning_rate": 1e30, "weight_decay": 0.9}
    model = {"name": "mlp", "hidden": []}
    output = finish(start("model", batch_size=64, model=model, **settings), code=1)
    assert output.splitlines()[-1] == (
        "failed: epoch 1: after step 2, weights are not finite; no checkpoint yet. Lower "
        "train.learning_rate (it is 1e+30), or set train.clip_norm"
    )
    assert checkpoint.list_epochs(str(tmp_path / "model" / "checkpoints")) == []


# A rank. Rank 0 is asked to stop after three steps. The clocks of the other ranks run 100 times as
# fast: ranks that relied on their own clock would not check for alerts at the same steps.
RANK = """
import itertools, sys, time, types
from halftone import config
from halftone.dataset import manifest
from halftone.feed import world
from halftone.training import epoch_callback, stop_flag
from halftone.training.fit import fit_rank
path, dataset, output = sys.argv[1:]
loaded, this_world = config.load_config(path, paths={}), world.detect_world()
calls = itertools.count(1)
stop_flag.StopFlag.is_set = lambda self: this_world.is_first and next(calls) >= 3
clock = lambda: time.monotonic() * (1 if this_world.is_first else 100)
epoch_callback.time = types.SimpleNamespace(monotonic=clock)
fit_rank(loaded, manifest.read_manifest(dataset), dataset, output, this_world)
"""


@pytest.fixture
def stop_in_epoch_1(tmp_path: Path, dataset: Path) -> Callable[..., int]:
    """Train with ranks of which the first is asked to stop; return the step at which all stop."""

    def stop(output: str, ranks: int, **settings: Any) -> int:
        path = tmp_path / f"{output}.yaml"
        train = {"epochs": 4, "batch_size": 4, "model": MODEL, "ranks": ranks, **settings}
        path.write_text(yaml.safe_dump({"seed": 7, "train": train}))
        launcher = [sys.executable, "-m", "horovod.runner.launch", "--gloo", "-np", str(ranks)]
        command = [sys.executable, "-c", RANK, path, dataset, tmp_path / output]
        process = subprocess.run(
            [*(launcher if ranks > 1 else []), *map(str, command)],
            capture_output=True,
            text=True,
            check=False,
            timeout=120,
        )
        assert process.returncode != 0
        message = r"StoppedError: the checkpoint of epoch 1, step (\d+) of 20, is in"
        steps = {int(step) for step in re.findall(message, process.stdout + process.stderr)}
        assert len(steps) == 1
        assert steps < {4, 5, 6, 7}
        return steps.pop()

    return stop


AUGMENT = {"flip": "horizontal", "shift_fraction": 0.1}


@pytest.mark.slow
@pytest.mark.parametrize("cache", ["memory", "none"])
def test_one_rank_stopped_within_an_epoch_resumes_to_the_same_weights(
    start: Train, stop_in_epoch_1: Callable[..., int], tmp_path: Path, cache: str
) -> None:
    settings = {"cache": cache, "augment": AUGMENT, "normalise": "standard"}
    finish(start("undisturbed", batch_size=4, **settings))
    step = stop_in_epoch_1("stopped", ranks=1, **settings)
    output = finish(start("stopped", batch_size=4, **settings))
    assert f"resuming after epoch 0, step {step} of the next, from " in output
    for actual, expected in zip(weights(tmp_path / "stopped"), weights(tmp_path / "undisturbed")):
        np.testing.assert_array_equal(actual, expected)
    for actual, expected in zip(history(tmp_path / "stopped"), history(tmp_path / "undisturbed")):
        assert actual == pytest.approx(expected, rel=1e-12)


@pytest.mark.slow
def test_two_ranks_stopped_within_an_epoch_resume_to_the_same_weights(
    start: Train, stop_in_epoch_1: Callable[..., int], tmp_path: Path
) -> None:
    finish(start("undisturbed", batch_size=4, ranks=2))
    step = stop_in_epoch_1("stopped", ranks=2)
    output = finish(start("stopped", batch_size=4, ranks=2))
    assert f"resuming after epoch 0, step {step} of the next, from " in output
    for actual, expected in zip(weights(tmp_path / "stopped"), weights(tmp_path / "undisturbed")):
        np.testing.assert_allclose(actual, expected, atol=1e-5)


@pytest.mark.slow
def test_other_number_of_ranks_repeats_the_partial_epoch(
    start: Train, stop_in_epoch_1: Callable[..., int], tmp_path: Path
) -> None:
    stop_in_epoch_1("stopped", ranks=1)
    output = finish(start("stopped", batch_size=4, ranks=2))
    assert "resuming after" not in output
    assert [entry["epoch"] for entry in history(tmp_path / "stopped")] == [1, 2, 3, 4]


@pytest.mark.slow
def test_large_scale_settings_together_on_two_ranks(start: Train, tmp_path: Path) -> None:
    finish(
        start(
            "model",
            ranks=2,
            epochs=8,
            batch_size=4,
            model={"name": "convnet", "filters": [8], "dense": [16]},
            normalise="standard",
            augment={"brightness_fraction": 0.1},
            scale_learning_rate=True,
            warmup_epochs=1,
            clip_norm=1.0,
            precision="mixed_float16",
            compression="fp16",
            aggregate_steps=2,
        )
    )
    epochs = history(tmp_path / "model")
    assert epochs[-1]["val_accuracy"] >= 0.9
    info = model_directory.read_model_info(str(tmp_path / "model"))
    assert (info.config.train.precision, info.config.train.compression) == ("mixed_float16", "fp16")
    # What is published computes in float32, and so do scoring and exports.
    import tensorflow as tf

    network = tf.keras.models.load_model(tmp_path / "model" / info.network)
    assert {layer.compute_dtype for layer in network.layers[1:]} == {"float32"}
