"""Whole trainings with frozen layers resume to the bit, wherever they were interrupted."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path
from typing import Callable

import numpy as np
import pytest
import tensorflow as tf
import yaml

import saved_model
from halftone import model_directory, models
from halftone.config import Config
from halftone.dataset.manifest import read_manifest
from halftone.errors import InputError
from halftone.launch import network_checks
from halftone.models import layer_weights
from halftone.training import checkpoint
from training_jobs import MODEL, history

EPOCHS, UNFREEZE_AFTER = 4, 2
LABELS = ["lying", "upright"]
# Trains with two phases; goes on from the checkpoints of the first 1, 2 and 3 epochs alone; and
# stops within the first epoch in which all layers are trained, and goes on.
TRAININGS = """
import pathlib, shutil, sys
from halftone import config
from halftone.dataset import manifest
from halftone.errors import StoppedError
from halftone.feed import world
from halftone.training import stop_flag
from halftone.training.fit import fit_rank

path, dataset, folder = sys.argv[1:]
loaded, folder = config.load_config(path, paths={}), pathlib.Path(folder)


def train(name):
    output = str(folder / name)
    fit_rank(loaded, manifest.read_manifest(dataset), dataset, output, world.detect_world())


train("full")
for epochs in (1, 2, 3):
    target = folder / f"after_{epochs}" / "checkpoints"
    target.mkdir(parents=True)
    for number in range(1, epochs + 1):
        shutil.copy(folder / "full" / "checkpoints" / f"epoch-{number:04d}.npz", target)
    train(f"after_{epochs}")
second = folder / "stopped" / "checkpoints" / "epoch-0002.npz"
is_set = stop_flag.StopFlag.is_set
stop_flag.StopFlag.is_set = lambda self: second.exists()
try:
    train("stopped")
except StoppedError:
    stop_flag.StopFlag.is_set = is_set
    train("stopped")
"""


@pytest.fixture
def start_model(tmp_path: Path, config: Callable[..., Config]) -> tf.keras.Model:
    """Publish a network with random weights, also of batch normalisation, at `first`."""
    settings = config(train={"model": MODEL})
    folder = saved_model.save(tmp_path / "first", settings, LABELS)
    network = models.build_model(settings.train.model.model_dump(), (16, 16, 1), 2, "0..1")
    rng = np.random.default_rng(5)
    network.set_weights(
        [
            rng.normal(0, 0.2, weight.shape)
            if weight.ndim > 1
            else rng.uniform(0.5, 1, weight.shape)
            for weight in network.get_weights()
        ]
    )
    network.save(folder / model_directory.read_model_info(str(folder)).network)
    return network


@pytest.mark.slow
def test_interrupted_fine_tuning_goes_on_to_the_bit(
    start_model: tf.keras.Model, prepared_dataset: Path, tmp_path: Path
) -> None:
    train = {
        **{"epochs": EPOCHS, "batch_size": 4, "model": MODEL, "keep_checkpoints": EPOCHS},
        **{"start_from": str(tmp_path / "first"), "freeze": 2, "weight_decay": 0.01},
        **{"unfreeze_after_epochs": UNFREEZE_AFTER, "unfreeze_learning_rate": 1e-4},
        **{"decay": "plateau", "decay_patience": 1, "average_weights": 0.9},
        "augment": {"shift_fraction": 0.1},
    }
    path = tmp_path / "train.yaml"
    path.write_text(yaml.safe_dump({"seed": 7, "train": train}))
    command = [sys.executable, "-c", TRAININGS, path, prepared_dataset, tmp_path]
    process = subprocess.run(
        [*map(str, command)], capture_output=True, text=True, check=False, timeout=300
    )
    assert process.returncode == 0, process.stderr
    for line in (
        "2 layers are frozen until epoch 2 (train.freeze 2): 1,585 of 1,633 parameters are trained",
        "from epoch 3 on all layers are trained, 1,633 of 1,633 parameters, with a new optimizer "
        "and a learning rate of 0.0001",
        f"resuming after epoch 2, from {tmp_path}/after_2/checkpoints",
        "resuming after epoch 2, step ",
    ):
        assert line in process.stdout

    def read(name: str, epoch: int) -> checkpoint.Checkpoint:
        return checkpoint.read_checkpoint(str(tmp_path / name / "checkpoints"), epoch)

    expected = read("full", EPOCHS)
    assert len(expected.optimizer) > 0
    for name in ("after_1", "after_2", "after_3", "stopped"):
        actual = read(name, EPOCHS)
        for kind in ("weights", "optimizer", "averages"):
            pairs = list(zip(getattr(actual, kind), getattr(expected, kind)))
            assert len(getattr(actual, kind)) == len(getattr(expected, kind)) == len(pairs) > 0
            assert all(np.array_equal(left, right) for left, right in pairs), (name, kind)
        version = model_directory.read_model_info(str(tmp_path / name)).version
        assert version == model_directory.read_model_info(str(tmp_path / "full")).version
        assert history(tmp_path / name) == history(tmp_path / "full")

    epochs = history(tmp_path / "full")
    assert [entry["trainable_parameters"] for entry in epochs] == [1585, 1585, 1633, 1633]
    assert epochs[0]["learning_rate"] == pytest.approx(1e-3)
    assert epochs[2]["learning_rate"] == pytest.approx(1e-4)
    # Convolution and normalisation, with its statistics, are those of the first model, until all
    # layers are trained. So are their averages.
    frozen = [
        variable.numpy()
        for layer in layer_weights.group_by_layer(start_model)[:2]
        for variable in layer.variables
    ]
    assert len(frozen) == 6
    last_frozen = read("full", UNFREEZE_AFTER)
    assert last_frozen.optimizer == []
    for weights in (last_frozen.weights, last_frozen.averages):
        assert all(np.array_equal(left, right) for left, right in zip(weights, frozen))
    assert not any(np.array_equal(left, right) for left, right in zip(expected.weights, frozen))


@pytest.mark.parametrize(("freeze", "is_refused"), [(3, False), (4, True)])
def test_more_layers_than_the_first_model_has_are_refused_before_ranks_start(
    start_model: tf.keras.Model,
    config: Callable[..., Config],
    prepared_dataset: Path,
    tmp_path: Path,
    freeze: int,
    is_refused: bool,
) -> None:
    train = {"model": MODEL, "start_from": str(tmp_path / "first"), "freeze": freeze}
    data = read_manifest(str(prepared_dataset))
    arguments = config(train=train).train, data, str(prepared_dataset)
    if not is_refused:
        return network_checks.check_network_settings(*arguments)
    with pytest.raises(InputError) as caught:
        network_checks.check_network_settings(*arguments)
    assert str(caught.value) == (
        "train.freeze is 4, and the network's body has 3 layers with weights; use 3 or fewer, or "
        "all"
    )
