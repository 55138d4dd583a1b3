"""Real training jobs: one rank in the job's process, or several local ones."""

from __future__ import annotations

import json
import os
import re
import shutil
import signal
from pathlib import Path
from typing import Any, Callable

import numpy as np
import pyarrow.parquet as pq
import pytest
from pyspark.sql import SparkSession

from halftone import model_directory
from halftone.config import Config
from halftone.dataset.manifest import read_manifest, read_shards
from halftone.locking.output import hold_output
from halftone.metrics import epochs
from halftone.preprocess.run import preprocess
from halftone.training import checkpoint
from training_jobs import MODEL, Train, finish, history, start_job, wait_for, weights
from trainings_in_turn import Turn, train_in_turn


@pytest.fixture(scope="module")
def finished(prepared_dataset: Path, tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, str]:
    """The model directory of a job that was not disturbed, which is not changed; its output."""
    folder = tmp_path_factory.mktemp("finished")
    return folder / "model", finish(start_job(folder, prepared_dataset, "model"))


def test_training_writes_the_model_directory(finished: tuple[Path, str]) -> None:
    model, output = finished
    assert output.splitlines()[-1] == f"model: {model}"
    assert "epoch 4/4: loss " in output
    info = model_directory.read_model_info(str(model))
    assert info.labels == ["lying", "upright"]
    assert info.shape() == (16, 16, 1)
    assert (info.config.train.epochs, info.ranks) == (4, 1)
    assert (model / info.network).exists()
    entries = history(model)
    assert [entry["epoch"] for entry in entries] == [1, 2, 3, 4]
    assert set(entries[0]) == {"epoch", "loss", "accuracy", "val_loss", "val_accuracy"}
    assert info.best_epoch == epochs.best_epoch(entries)
    assert min(entry["loss"] for entry in entries) < entries[0]["loss"]


def test_finished_training_is_not_repeated(
    start: Train, tmp_path: Path, finished: tuple[Path, str]
) -> None:
    model = shutil.copytree(finished[0], tmp_path / "model")
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
    tmp_path: Path, prepared_dataset: Path, finished: tuple[Path, str]
) -> None:
    version = model_directory.read_model_info(str(finished[0])).version
    network, path = finished[0] / f"network-{version}.keras", finished[0] / "history.json"
    # Killed before model.json; one whose files were removed; one without a checkpoint as well.
    names = ("killed", "without_files", "without_checkpoint")
    killed, without_files, without_checkpoint = (
        shutil.copytree(finished[0], tmp_path / name) for name in names
    )
    (killed / "model.json").unlink()
    content = json.loads(path.read_text())
    (killed / path.name).write_text(json.dumps({**content, "epochs": content["epochs"][:3]}))
    for name in (network.name, path.name):
        (without_files / name).unlink()
    (without_checkpoint / network.name).unlink()
    shutil.rmtree(without_checkpoint / "checkpoints")
    *_, refusal = train_in_turn(tmp_path, prepared_dataset, *(Turn(name, {}) for name in names))
    for model in (killed, without_files):
        assert history(model) == history(finished[0])
        assert model_directory.read_model_info(str(model)).version == version
        assert len((model / network.name).read_bytes()) == len(network.read_bytes())
    assert refusal == (
        f"InputError: {without_checkpoint}: {network.name} of the model is missing, and there is "
        "no checkpoint to make it from; restore it, or remove the folder to train again\n"
    )


@pytest.mark.slow
def test_resume_after_a_kill_gives_the_same_weights(
    start: Train, tmp_path: Path, finished: tuple[Path, str]
) -> None:
    process = start("killed")
    wait_for(tmp_path / "killed" / "checkpoints" / "epoch-0002.npz", process)
    process.kill()
    finish(process, -signal.SIGKILL)
    assert not (tmp_path / "killed" / "model.json").exists()
    (tmp_path / "killed" / "stop").touch()  # left behind
    output = finish(start("killed"))
    assert "resuming after epoch " in output
    assert not (tmp_path / "killed" / "stop").exists()
    assert history(tmp_path / "killed") == history(finished[0])
    for actual, expected in zip(weights(tmp_path / "killed"), weights(finished[0])):
        np.testing.assert_array_equal(actual, expected)


@pytest.mark.slow
def test_more_epochs_resume_a_finished_training(
    tmp_path: Path, prepared_dataset: Path, finished: tuple[Path, str]
) -> None:
    turns = (Turn("in_two", {"epochs": epochs}) for epochs in (2, 4))
    _, output = train_in_turn(tmp_path, prepared_dataset, *turns)
    assert "resuming after epoch 2" in output
    for actual, expected in zip(weights(tmp_path / "in_two"), weights(finished[0])):
        np.testing.assert_array_equal(actual, expected)


def test_training_with_other_settings_is_not_resumed(start: Train, tmp_path: Path) -> None:
    finish(start("model", epochs=1))
    output = finish(start("model", epochs=2, learning_rate=0.5), code=2)
    assert output == (
        f"error: {tmp_path}/model holds a training with other settings: "
        "train.learning_rate: 0.001 there, 0.5 now. Give another --output, or remove it\n"
    )


@pytest.mark.slow
def test_all_epochs_have_one_order_without_shuffling(
    tmp_path: Path, prepared_dataset: Path
) -> None:
    turns = [Turn(cache, {"cache": cache, "shuffle": False}) for cache in ("memory", "none")]
    train_in_turn(tmp_path, prepared_dataset, *turns, Turn("shuffled", {"cache": "none"}))
    # Cached rows come in the order of the first epoch, streamed rows are read anew.
    for cached, streamed in zip(weights(tmp_path / "memory"), weights(tmp_path / "none")):
        np.testing.assert_array_equal(cached, streamed)
    assert history(tmp_path / "shuffled") != history(tmp_path / "none")


@pytest.mark.slow
def test_start_from_the_weights_of_another_training(tmp_path: Path, prepared_dataset: Path) -> None:
    first, model = str(tmp_path / "first"), {**MODEL, "batch_norm": False}
    other = {**model, "filters": [4, 8]}
    # The learning rate is too small to change the loss.
    second = {"start_from": first, "epochs": 1, "learning_rate": 1e-9, "model": model}
    _, output, refusal = train_in_turn(
        tmp_path,
        prepared_dataset,
        Turn("first", {"model": model}),
        Turn("second", second),
        Turn("third", {"start_from": first, "model": other}),
    )
    assert f"starting from the weights of {first}\n" in output
    before, after = history(tmp_path / "first"), history(tmp_path / "second")
    best = before[model_directory.read_model_info(first).best_epoch - 1]
    assert after[0]["val_loss"] == pytest.approx(best["val_loss"], abs=1e-6)
    assert refusal == (
        f"InputError: train.start_from: the network at {first} differs: filters (4,) there, (4, 8) "
        "here. Use its train.model and train.normalise, or leave start_from out\n"
    )


def test_two_ranks_train_together(start: Train, tmp_path: Path) -> None:
    output = finish(start("model", ranks=2))
    assert "2 ranks (horovodrun), batch 16 = 2 x 8" in output
    assert [entry["epoch"] for entry in history(tmp_path / "model")] == [1, 2, 3, 4]
    assert model_directory.read_model_info(str(tmp_path / "model")).ranks == 2


@pytest.fixture
def one_row_group_per_split(
    spark: SparkSession,
    draw_images: Callable[..., Path],
    config: Callable[..., Config],
    tmp_path: Path,
) -> Path:
    """A dataset with a single row group per split."""
    settings = config(
        preprocess={"rows_per_shard": 1000},
        splits={"validation_fraction": 0.25, "test_fraction": 0.1},
    )
    dataset = tmp_path / "one_row_group_per_split"
    preprocess(settings, str(draw_images(each=30)), str(dataset), lambda: spark)
    return dataset


@pytest.mark.slow
def test_metrics_are_the_same_on_any_number_of_ranks(
    tmp_path: Path, prepared_dataset: Path, one_row_group_per_split: Path
) -> None:
    """Metrics of trainings that keep their initial weights and drop nothing out.

    They depend on which rows are read, and not on how the ranks share them.
    """
    manifest = read_manifest(str(one_row_group_per_split))
    for split in ("train", "validation"):
        (shard,) = read_shards(str(one_row_group_per_split), manifest, split)
        row_groups = pq.ParquetFile(one_row_group_per_split / shard.path).num_row_groups
        assert (row_groups, shard.rows > 3) == (1, True)
    model = {**MODEL, "batch_norm": False, "dense_dropout": 0.0}
    train = {"epochs": 1, "learning_rate": 1e-30, "batch_size": 12, "model": model}

    def train_with(ranks: int) -> tuple[dict[str, Any], dict[str, Any]]:
        many, one = f"many_{ranks}", f"one_{ranks}"
        turns = [Turn(many, train), Turn(one, train, dataset=one_row_group_per_split)]
        train_in_turn(tmp_path, prepared_dataset, *turns, ranks=ranks)
        (of_many,), (of_one,) = history(tmp_path / many), history(tmp_path / one)
        return of_many, of_one

    (many_1, one_1), (many_3, one_3) = train_with(ranks=1), train_with(ranks=3)
    for name in ("val_loss", "val_accuracy"):
        assert many_3[name] == pytest.approx(many_1[name], abs=1e-6)
    # Equal means over the rows: each of the three ranks has read its third of the row group.
    for name in ("loss", "accuracy", "val_loss", "val_accuracy"):
        assert one_3[name] == pytest.approx(one_1[name], abs=1e-6)


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


AUGMENT = {"flip": "horizontal", "shift_fraction": 0.1}
CACHES = ("memory", "none")


@pytest.fixture(scope="module")
def one_rank(prepared_dataset: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Trainings of one rank, stopped after three steps, resumed, and undisturbed."""
    folder = tmp_path_factory.mktemp("one_rank")
    turns = []
    for cache in CACHES:
        settings = {"augment": AUGMENT, "normalise": "standard", "batch_size": 4, "cache": cache}
        turns += [
            Turn(f"undisturbed_{cache}", settings),
            Turn(f"stopped_{cache}", settings, stop_at_check=3),
            Turn(f"resumed_{cache}", settings, start_at=f"stopped_{cache}"),
        ]
    train_in_turn(folder, prepared_dataset, *turns, Turn("plain", {"batch_size": 4}, 3))
    return folder


def stopped_step(folder: Path, output: str) -> int:
    """The step of the first epoch in which a training has stopped."""
    text = (folder / f"{output}.rank-0.txt").read_text()
    (step,) = re.findall(r"StoppedError: the checkpoint of epoch 1, step (\d+) of 20, is in", text)
    assert int(step) in {4, 5, 6, 7}
    return int(step)


@pytest.mark.slow
@pytest.mark.parametrize("cache", CACHES)
def test_one_rank_stopped_within_an_epoch_resumes_to_the_same_weights(
    one_rank: Path, cache: str
) -> None:
    step = stopped_step(one_rank, f"stopped_{cache}")
    output = (one_rank / f"resumed_{cache}.rank-0.txt").read_text()
    assert f"resuming after epoch 0, step {step} of the next, from " in output
    resumed, undisturbed = one_rank / f"resumed_{cache}", one_rank / f"undisturbed_{cache}"
    for actual, expected in zip(weights(resumed), weights(undisturbed)):
        np.testing.assert_array_equal(actual, expected)
    for left, right in zip(history(resumed), history(undisturbed)):
        assert left == pytest.approx(right, rel=1e-12)


@pytest.mark.slow
def test_two_ranks_stopped_within_an_epoch_resume_to_the_same_weights(
    one_rank: Path, prepared_dataset: Path, tmp_path: Path
) -> None:
    train = {"batch_size": 4}
    _, _, output, other = train_in_turn(
        tmp_path,
        prepared_dataset,
        Turn("undisturbed", train),
        Turn("stopped", train, stop_at_check=3),
        Turn("resumed", train, start_at="stopped"),
        Turn("other", train, start_at=str(one_rank / "plain")),
        ranks=2,
    )
    step = stopped_step(tmp_path, "stopped")
    assert f"resuming after epoch 0, step {step} of the next, from " in output
    for actual, expected in zip(weights(tmp_path / "resumed"), weights(tmp_path / "undisturbed")):
        np.testing.assert_allclose(actual, expected, atol=1e-5)
    # Another number of ranks repeats the partial epoch.
    assert "resuming after" not in other
    assert [entry["epoch"] for entry in history(tmp_path / "other")] == [1, 2, 3, 4]


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
