"""Where the first weights of a training come from."""

from __future__ import annotations

from pathlib import Path
from typing import Any, Callable

import numpy as np
import pytest
import tensorflow as tf
from pyspark.sql import SparkSession

import saved_model
from conftest import DrawImages
from halftone import model_directory, models
from halftone.config import Config
from halftone.errors import InputError
from halftone.preprocess.run import preprocess
from halftone.training import start_weights
from training_jobs import MODEL, history
from trainings_in_turn import Turn, train_in_turn

RESIDUAL = {"name": "residual", "stem_filters": 2, "filters": [2, 4], "strides_px": 2, "blocks": 1}
LABELS = ["cat", "cow", "dog"]


def build(config: Config, classes: int) -> tf.keras.Model:
    pixels = config.pixels
    shape = (pixels.height_px, pixels.width_px, pixels.channels)
    return models.build_model(config.train.model.model_dump(), shape, classes, "0..1")


@pytest.fixture
def publish(tmp_path: Path, config: Callable[..., Config]) -> Callable[..., tf.keras.Model]:
    """Publish a network with random weights, also of batch normalisation, as out of a training."""

    def publish(labels: list[str] = LABELS, **model: Any) -> tf.keras.Model:
        settings = config(train={"model": model if "name" in model else {**RESIDUAL, **model}})
        folder = saved_model.save(tmp_path / "first", settings, labels)
        network = build(settings, len(labels))
        rng = np.random.default_rng(5)
        network.set_weights([rng.normal(size=weight.shape) for weight in network.get_weights()])
        network.save(folder / model_directory.read_model_info(str(folder)).network)
        return network

    return publish


@pytest.mark.parametrize("labels", [["ant", "bee"], ["ant", "bee", "fly"], [*LABELS, "pig"]])
def test_other_classes_take_the_body(
    publish: Callable[..., tf.keras.Model],
    config: Callable[..., Config],
    tmp_path: Path,
    labels: list[str],
) -> None:
    first = publish()
    settings = config(train={"model": RESIDUAL, "start_from": str(tmp_path / "first")}).train
    network = build(config(train={"model": RESIDUAL}), len(labels))
    initial = network.get_layer("probability").get_weights()
    line = start_weights.set_start_weights(network, settings, labels)
    # The stem, two blocks of 2 convolutions and a shortcut, each with its normalisation.
    assert line == (
        f"starting from the body of {tmp_path}/first, 14 layers with weights; the output layer "
        f"(probability) is new, as the classes are cat, cow, dog there and {', '.join(labels)} here"
    )
    for expected, actual in zip(first.get_weights()[:-2], network.get_weights()[:-2]):
        np.testing.assert_array_equal(actual, expected)
    for before, after in zip(initial, network.get_layer("probability").get_weights()):
        np.testing.assert_array_equal(after, before)


def test_same_classes_take_all_weights(
    publish: Callable[..., tf.keras.Model], config: Callable[..., Config], tmp_path: Path
) -> None:
    first = publish()
    settings = config(train={"model": RESIDUAL, "start_from": str(tmp_path / "first")}).train
    network = build(config(train={"model": RESIDUAL}), 3)
    line = start_weights.set_start_weights(network, settings, LABELS)
    assert line == f"starting from the weights of {tmp_path}/first"
    for expected, actual in zip(first.get_weights(), network.get_weights()):
        np.testing.assert_array_equal(actual, expected)


def test_without_start_from_weights_stay(config: Callable[..., Config]) -> None:
    network = build(config(train={"model": RESIDUAL}), 3)
    before = network.get_weights()
    settings = config(train={"model": RESIDUAL}).train
    assert start_weights.set_start_weights(network, settings, LABELS) == ""
    for expected, actual in zip(before, network.get_weights()):
        np.testing.assert_array_equal(actual, expected)


def test_layer_of_another_shape_is_named(
    publish: Callable[..., tf.keras.Model], config: Callable[..., Config], tmp_path: Path
) -> None:
    publish(filters=[2, 3])
    settings = config(train={"model": RESIDUAL, "start_from": str(tmp_path / "first")}).train
    with pytest.raises(InputError) as caught:
        start_weights.set_start_weights(
            build(config(train={"model": RESIDUAL}), 2), settings, ["ant", "bee"]
        )
    assert str(caught.value) == (
        f"train.start_from: the network at {tmp_path}/first differs: layer stage2_block1_conv1 "
        "there has weights of 3x3x2x3, layer stage2_block1_conv1 here of 3x3x2x4. Use its "
        "train.model and the code that built it, or leave start_from out"
    )


@pytest.mark.slow
def test_body_of_a_model_of_other_classes(
    publish: Callable[..., tf.keras.Model],
    tmp_path: Path,
    spark: SparkSession,
    draw_images: DrawImages,
    config: Callable[..., Config],
) -> None:
    model = {**MODEL, "batch_norm": False, "dense_dropout": 0.0}
    there = publish(["lying", "upright"], **model).get_weights()
    images = draw_images("three", ("lying", "rising", "upright"), each=30)
    settings = config(preprocess={"rows_per_shard": 8}, splits={"validation_fraction": 0.25})
    dataset = tmp_path / "dataset"
    preprocess(settings, str(images), str(dataset), lambda: spark)
    first = str(tmp_path / "first")
    # Two ranks: rank 0 alone reads the weights. The learning rate is too small to change them.
    train = {"learning_rate": 1e-9, "model": model, "start_from": first}
    # The ranks agree on the phase when they resume: the optimizers differ in their variables.
    train |= {"freeze": "all", "unfreeze_after_epochs": 1, "unfreeze_learning_rate": 1e-10}
    train |= {"average_weights": 0.9}
    output, resumed = train_in_turn(
        tmp_path,
        dataset,
        Turn("two_epochs", {**train, "epochs": 2}),
        Turn("three_classes", {**train, "epochs": 3}, start_at="two_epochs"),
        ranks=2,
    )
    assert (
        f"starting from the body of {first}, 2 layers with weights; the output layer (probability) "
        "is new, as the classes are lying, upright there and lying, rising, upright here\n"
    ) in output
    assert "2 layers are frozen until epoch 1 (train.freeze all): 27 of 1,643 parameters" in output
    assert "from epoch 2 on all layers are trained, 1,643 of 1,643 parameters" in output
    assert f"resuming after epoch 2, from {tmp_path}/three_classes" in resumed
    here = published_weights(tmp_path / "three_classes")
    assert len(here) == len(there) == 6
    for expected, actual in zip(there[:-2], here[:-2]):
        np.testing.assert_allclose(actual, expected, atol=1e-6)
    assert [weight.shape for weight in here[-2:]] == [(8, 3), (3,)]
    entries = history(tmp_path / "three_classes")
    assert [entry["trainable_parameters"] for entry in entries] == [27, 1643, 1643]
    rates = [entry["learning_rate"] for entry in entries]
    assert rates == pytest.approx([1e-9, 1e-10, 1e-10], rel=1e-6)


def published_weights(folder: Path) -> list[np.ndarray]:
    info = model_directory.read_model_info(str(folder))
    weights: list[np.ndarray] = tf.keras.models.load_model(
        folder / info.network, compile=False
    ).get_weights()
    return weights
