"""Frozen layers: what training leaves as it is, and how it goes on with all layers."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Optional

import horovod.tensorflow as hvd
import numpy as np
import pytest
import tensorflow as tf

from halftone import models
from halftone.config import TrainSettings
from halftone.errors import InputError
from halftone.models import layer_weights
from halftone.training import freezing, schedules
from halftone.training.distributed_model import DistributedModel

START = {"start_from": "/models/animals"}
ROWS, SIDE_PX, STEPS = 12, 6, 2
RNG = np.random.default_rng(9)
IMAGES = RNG.normal(size=(ROWS, SIDE_PX, SIDE_PX, 1)).astype(np.float32)
LABELS = RNG.integers(0, 3, (ROWS, 1)).astype(np.int32)


@pytest.fixture(autouse=True)
def _horovod() -> None:
    hvd.init()


def build() -> tf.keras.Model:
    """Convolution, normalisation, dense and output layer: 4 layers with weights."""
    tf.keras.utils.set_random_seed(4)
    layers = tf.keras.layers
    pixels = tf.keras.Input((SIDE_PX, SIDE_PX, 1))
    x = layers.Conv2D(4, 3, name="conv")(pixels)
    x = layers.BatchNormalization(momentum=0.5, name="norm")(x)
    x = layers.Flatten()(layers.ReLU()(x))
    x = layers.Dense(5, activation="tanh", name="dense")(x)
    return tf.keras.Model(pixels, layers.Dense(3, "softmax", name="probability")(x))


def settings_of(**train: Any) -> TrainSettings:
    return TrainSettings(**{"optimizer": "sgd", "learning_rate": 0.5, **START, **train})


def compile_phase(
    network: tf.keras.Model,
    settings: TrainSettings,
    num_epochs: int = 0,
    model: Optional[DistributedModel] = None,
) -> DistributedModel:
    """Compile for the epoch after `num_epochs` ones, of STEPS steps."""
    model = model or DistributedModel(network.inputs, network.outputs)
    phase = freezing.phase_after(settings, num_epochs)
    frozen = freezing.frozen_layers(model, settings) if phase.is_frozen else ()
    model.compile_for_training(
        phase.settings, 3, STEPS, None, frozen, epochs_before=phase.epochs_before
    )
    return model


def train_epochs(model: tf.keras.Model, epochs: int = 1) -> None:
    for _ in range(epochs):
        if isinstance(model, DistributedModel):
            model.reset_steps(0)
        # With row weights, as the feed has them.
        weights, batch_size = np.ones(ROWS, np.float32), ROWS // STEPS
        model.fit(IMAGES, LABELS, batch_size, 1, sample_weight=weights, shuffle=False, verbose=0)


def changed_layers(before: tf.keras.Model, after: tf.keras.Model) -> list[str]:
    """Return the names of the weights that differ in any bit, in the order of the network."""
    pairs = zip(layer_weights.group_by_layer(before), layer_weights.group_by_layer(after))
    return [
        here.variables[number].name
        for there, here in pairs
        for number in range(len(here.variables))
        if there.variables[number].numpy().tobytes() != here.variables[number].numpy().tobytes()
    ]


@pytest.mark.parametrize(
    ("freeze", "trained"),
    [
        ("none", ["conv", "norm", "dense", "probability"]),
        (1, ["norm", "dense", "probability"]),
        (2, ["dense", "probability"]),
        (3, ["probability"]),
        ("all", ["probability"]),
    ],
)
@pytest.mark.parametrize("aggregate_steps", [1, 2])
def test_frozen_layers_keep_their_weights_to_the_bit(
    freeze: Any, trained: list[str], aggregate_steps: int
) -> None:
    # Weight decay would change a kernel without a gradient; norm has moving statistics.
    settings = settings_of(
        **{"freeze": freeze, "optimizer": "adamw", "weight_decay": 0.5},
        aggregate_steps=aggregate_steps,
    )
    network = build()
    model = compile_phase(network, settings)
    train_epochs(model, epochs=2)
    names = [name.split("/")[0] for name in changed_layers(build(), model)]
    expected = {"conv": 2, "norm": 4, "dense": 2, "probability": 2}
    assert {name: names.count(name) for name in names} == {name: expected[name] for name in trained}
    counts = {"conv": 40, "norm": 8, "dense": 4 * 16 * 5 + 5, "probability": 18}
    assert model.num_trainable_parameters == sum(counts[name] for name in trained)
    assert model.num_parameters == sum(counts.values()) == 391


def test_frozen_batch_normalisation_works_as_in_inference() -> None:
    model = compile_phase(build(), settings_of(freeze=2))
    np.testing.assert_array_equal(model(IMAGES, training=True), model(IMAGES, training=False))
    unfrozen = compile_phase(build(), settings_of())
    difference = unfrozen(IMAGES, training=True) - unfrozen(IMAGES, training=False)
    assert np.abs(difference).max() > 0.01


def keras_training(average: Optional[float] = None) -> tuple[list[np.ndarray], list[np.ndarray]]:
    """Train in plain Keras: an epoch with two frozen layers, two with all; return weights.

    Also the moving average of the weights over the 6 steps.
    """
    network = build()
    averages: list[np.ndarray] = network.get_weights()
    num_updates = 0
    for epochs, is_trained, rate in ((1, False, 0.5), (2, True, 0.05)):
        for name in ("conv", "norm"):
            network.get_layer(name).trainable = is_trained
        optimizer = tf.keras.optimizers.SGD(rate, momentum=0.9)
        network.compile(optimizer, "sparse_categorical_crossentropy")
        for step in range(epochs * STEPS):
            start = step % STEPS * (ROWS // STEPS)
            rows = slice(start, start + ROWS // STEPS)
            network.train_on_batch(IMAGES[rows], LABELS[rows])
            num_updates += 1
            kept = min(average or 0.0, (1 + num_updates) / (10 + num_updates))
            averages = [
                kept * old + (1 - kept) * new for old, new in zip(averages, network.get_weights())
            ]
    return network.get_weights(), averages


def test_two_phases_are_those_of_plain_keras() -> None:
    settings = settings_of(
        **{"freeze": 2, "epochs": 3, "unfreeze_after_epochs": 1, "unfreeze_learning_rate": 0.05},
        **{"momentum": 0.9, "average_weights": 0.4},
    )
    model = compile_phase(build(), settings)
    train_epochs(model)
    assert changed_layers(build(), model) == [
        *("dense/kernel:0", "dense/bias:0", "probability/kernel:0", "probability/bias:0")
    ]
    compile_phase(model, settings, num_epochs=1, model=model)
    assert int(model.optimizer.iterations) == 0
    assert model.num_trainable_parameters == model.num_parameters == 391
    train_epochs(model, epochs=2)
    expected_weights, expected_averages = keras_training(average=0.4)
    for actual, expected in zip(model.get_weights(), expected_weights):
        np.testing.assert_allclose(actual, expected, rtol=1e-4, atol=1e-6)
    # The average goes on: updates are counted over both phases.
    assert model.average is not None
    for actual, expected in zip(model.average.values(), expected_averages):
        np.testing.assert_allclose(actual, expected, rtol=1e-4, atol=1e-6)


class NormalisedDense(tf.keras.layers.Layer):
    """A layer with layers inside, whose weights Keras orders by whether they are trained."""

    def __init__(self) -> None:
        super().__init__(name="outer")
        self.norm = tf.keras.layers.BatchNormalization(name="inner_norm")
        self.dense = tf.keras.layers.Dense(3, name="inner_dense")

    def call(self, x: tf.Tensor, training: bool = False) -> tf.Tensor:
        return self.dense(self.norm(x, training=training))


def nested_network(freezes_itself: bool = False) -> tf.keras.Model:
    tf.keras.utils.set_random_seed(4)
    pixels = tf.keras.Input((3,))
    first = tf.keras.layers.Dense(3, name="first", trainable=not freezes_itself)
    x = NormalisedDense()(first(pixels))
    return tf.keras.Model(pixels, tf.keras.layers.Dense(3, "softmax", name="probability")(x))


def test_weights_keep_the_order_of_the_network_as_built() -> None:
    network = nested_network()
    model = DistributedModel(network.inputs, network.outputs)
    built = [variable.name for variable in network.weights]
    settings = settings_of(freeze="all", average_weights=0.5)
    model.compile_for_training(settings, 3, STEPS, None, freezing.frozen_layers(model, settings))
    # Keras orders them otherwise now: vectors of 3 values each would be mixed up without an error.
    outer = model.get_layer("outer")
    outer.trainable = False
    assert [variable.name for variable in model.weights] != built
    assert [variable.name for variable in model.ordered_weights] == built

    values = [RNG.uniform(1, 2, array.shape).astype(np.float32) for array in model.get_weights()]
    model.set_weights(values)
    for actual, expected in zip(model.get_weights(), values):
        np.testing.assert_array_equal(actual, expected)
    assert model.average is not None
    model.average.restart()
    pixels = RNG.normal(size=(4, 3)).astype(np.float32)
    # A published network is built without frozen layers.
    for weights in (model.get_weights(), model.average.values()):
        published = nested_network()
        published.set_weights(weights)
        np.testing.assert_allclose(published(pixels), model(pixels), rtol=1e-6)
    with model.averaged_weights():
        np.testing.assert_allclose(published(pixels), model(pixels), rtol=1e-6)


def test_layers_that_a_network_freezes_itself_stay_frozen() -> None:
    network = nested_network(freezes_itself=True)
    model = DistributedModel(network.inputs, network.outputs)
    settings = settings_of(
        **{"freeze": "all", "epochs": 3, "unfreeze_after_epochs": 1},
        unfreeze_learning_rate=0.05,
    )
    trained = []
    for num_epochs in (0, 1):
        compile_phase(network, settings, num_epochs, model)
        trained.append(sorted({v.name.split("/")[-2] for v in model.trainable_variables}))
    assert trained == [["probability"], ["inner_dense", "inner_norm", "probability"]]


def test_ranks_average_the_statistics_of_trained_layers_only() -> None:
    def names(freeze: Any, average: Optional[float]) -> Sequence[str]:
        model = compile_phase(build(), settings_of(freeze=freeze, average_weights=average))
        known = {id(variable): variable.name for variable in model.ordered_weights}
        return [known.get(id(variable), "average") for variable in model.rank_statistics()]

    statistics = ["norm/moving_mean:0", "norm/moving_variance:0"]
    assert names("none", None) == statistics
    assert names("none", 0.9) == [*statistics, "average", "average"]
    assert names(1, 0.9) == [*statistics, "average", "average"]
    assert names(2, 0.9) == names("all", None) == []


def test_body_of_an_application_is_all_but_its_head() -> None:
    model = {
        **{"name": "application", "architecture": "MobileNet", "weights": "/notop.h5"},
        "head": {"dense": (4,)},
    }
    settings = TrainSettings(model=model, freeze="all")
    network = models.build_model(settings.model.model_dump(), (32, 32, 3), 2, "0..1")
    distributed = compile_phase(network, settings)
    names = [variable.name for variable in distributed.trainable_variables]
    assert names == [
        *("head_dense_1/kernel:0", "head_dense_1/bias:0"),
        *("probability/kernel:0", "probability/bias:0"),
    ]
    # 27 convolutions, each with its normalisation.
    assert len(freezing.frozen_layers(network, settings)) == 54
    too_many = settings.model_copy(update={"freeze": 55})
    with pytest.raises(InputError) as caught:
        freezing.frozen_layers(network, too_many)
    assert str(caught.value) == (
        "train.freeze is 55, and the network's body has 54 layers with weights; use 54 or fewer, "
        "or all"
    )


def test_more_layers_than_the_body_has_are_refused() -> None:
    assert [layer.name for layer in freezing.frozen_layers(build(), settings_of(freeze=3))] == [
        *("conv", "norm", "dense")
    ]
    with pytest.raises(InputError, match=r"^train\.freeze is 4, and .* body has 3 layers"):
        freezing.frozen_layers(build(), settings_of(freeze=4))


UNFREEZING: dict[str, Any] = {
    **{"freeze": "all", "epochs": 10, "unfreeze_after_epochs": 4},
    **{"unfreeze_learning_rate": 0.01, "warmup_epochs": 2},
}


def test_phases_have_schedules_of_their_own() -> None:
    settings = settings_of(**UNFREEZING, decay="steps", decay_epochs=(3, 6, 8))
    phases = [freezing.phase_after(settings, num_epochs) for num_epochs in range(11)]
    assert phases[0] == phases[3] != phases[4] == phases[10]
    first, second = phases[0].settings, phases[4].settings
    assert (phases[0].epochs_before, phases[0].is_frozen) == (0, True)
    assert (phases[4].epochs_before, phases[4].is_frozen) == (4, False)
    names = ("epochs", "learning_rate", "warmup_epochs", "decay_epochs")
    assert [getattr(first, name) for name in names] == [4, 0.5, 2, (3,)]
    assert [getattr(second, name) for name in names] == [6, 0.01, 0, (2, 4)]
    for unchanged in (settings_of(), settings_of(freeze=2)):
        phase = freezing.phase_after(unchanged, 3)
        assert phase == (0, unchanged.freeze != "none", unchanged)


def test_each_phase_ends_its_cosine() -> None:
    settings = settings_of(**{**UNFREEZING, "warmup_epochs": 0}, decay="cosine")
    factor = tf.Variable(1.0)
    ends = []
    for num_epochs in (0, 4):
        phase = freezing.phase_after(settings, num_epochs).settings
        rate = schedules.build_rate(phase, phase.learning_rate, 5, factor)
        assert callable(rate)
        updates = [0, 5 * phase.epochs]
        ends.append([float(rate(tf.constant(update))) for update in updates])
    np.testing.assert_allclose(ends, [[0.5, 0], [0.01, 0]], atol=1e-7)


def test_phases_are_described() -> None:
    settings = settings_of(**UNFREEZING)
    model = compile_phase(build(), settings)
    lines = [
        freezing.describe_phase(model, settings, freezing.phase_after(settings, 0)),
        freezing.describe_phase(model, settings_of(freeze=2), freezing.phase_after(settings, 0)),
        freezing.describe_phase(model, settings_of(), freezing.phase_after(settings_of(), 0)),
    ]
    compile_phase(model, settings, 4, model)
    lines.append(freezing.describe_phase(model, settings, freezing.phase_after(settings, 4)))
    assert lines == [
        "3 layers are frozen until epoch 4 (train.freeze all): 18 of 391 parameters are trained",
        "2 layers are frozen (train.freeze 2): 18 of 391 parameters are trained",
        "",
        "from epoch 5 on all layers are trained, 391 of 391 parameters, with a new optimizer and a "
        "learning rate of 0.01",
    ]
