from __future__ import annotations

import inspect
import json
import math
import zipfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import tensorflow as tf
from hypothesis import given
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st
from tensorflow.python.framework import config as tf_config

from halftone import config, models, storage
from halftone.config import ConfigError
from halftone.dataset import manifest, schema

STATISTICS = ([10.0, 100.0, 200.0], [2.0, 50.0, 1.0])
# Every setting differs from its default.
ALL_SETTINGS = config.Convnet(
    filters=(4, 8, 8),
    kernels_px=(5, 3, 3),
    strides_px=(2, 1, 1),
    padding="same",
    pooling="average",
    pool_after=(1, 3),
    pool_padding="same",
    activation=("leaky_relu", "none", "relu", "leaky_relu", "relu"),
    leaky_slope=0.01,
    batch_norm=True,
    batch_norm_before_activation=True,
    conv_dropout=0.25,
    global_average=True,
    dense=(16, 8),
    dense_dropout=(0.5, 0.0),
)
# The network of airbench94 (Jordan, 2024, section 3.1), with trained biases nowhere but in batch
# normalisation and in the output layer.
AIRBENCH = config.Convnet(
    filters=(64, 64, 256, 256, 256, 256),
    padding="same",
    pool_after=(1, 3, 5),
    pool_before_activation=True,
    activation="gelu",
    batch_norm=True,
    batch_norm_before_activation=True,
    batch_norm_momentum=0.6,
    batch_norm_scale=False,
    conv_bias=False,
    whitening_px=2,
    identity_start=True,
    global_max=True,
    dense=(),
    output_scale=1 / 9,
)


def layer_shapes(model: tf.keras.Model) -> list[tuple[str, tuple[int, ...]]]:
    return [(type(layer).__name__, tuple(layer.output_shape[1:])) for layer in model.layers[1:]]


def normalise_pixels(model: tf.keras.Model, pixels: np.ndarray) -> np.ndarray:
    return tf.keras.Model(model.input, model.get_layer("normalise").output)(pixels).numpy()


def test_convnet_layer_by_layer() -> None:
    settings = config.Convnet(
        filters=(4, 8), batch_norm=True, conv_dropout=0.25, dense=(16,), dense_dropout=0.5
    )
    model = models.build_model(settings.model_dump(), (20, 16, 1), 2, "0..1")
    assert layer_shapes(model) == [
        ("Rescaling", (20, 16, 1)),
        ("Conv2D", (18, 14, 4)),
        ("ReLU", (18, 14, 4)),
        ("BatchNormalization", (18, 14, 4)),
        ("MaxPooling2D", (9, 7, 4)),
        ("Dropout", (9, 7, 4)),
        ("Conv2D", (7, 5, 8)),
        ("ReLU", (7, 5, 8)),
        ("BatchNormalization", (7, 5, 8)),
        ("MaxPooling2D", (3, 2, 8)),
        ("Dropout", (3, 2, 8)),
        ("Flatten", (48,)),
        ("Dense", (16,)),
        ("ReLU", (16,)),
        ("Dropout", (16,)),
        ("Dense", (1,)),
    ]
    # 3x3x1x4+4, 4x4, 3x3x4x8+8, 4x8, 48x16+16, 16+1
    assert model.count_params() == 40 + 16 + 296 + 32 + 784 + 17


def test_settings_choose_the_layers() -> None:
    settings = config.Convnet(
        filters=(4, 4),
        kernels_px=(5, 3),
        padding="same",
        pooling="average",
        activation="leaky_relu",
        dense=(),
    )
    model = models.build_model(settings.model_dump(), (8, 8, 3), 10, "-0.5..0.5")
    assert [name for name, _ in layer_shapes(model)] == [
        *("Rescaling", "Conv2D", "LeakyReLU", "AveragePooling2D"),
        *("Conv2D", "LeakyReLU", "AveragePooling2D", "Flatten", "Dense"),
    ]
    kernels = [layer.kernel_size for layer in model.layers if hasattr(layer, "kernel_size")]
    assert kernels == [(5, 5), (3, 3)]
    assert model.output_shape == (None, 10)


def test_convnet_with_every_setting_layer_by_layer() -> None:
    model = models.build_model(ALL_SETTINGS.model_dump(), (11, 8, 1), 3, "0..1")
    assert layer_shapes(model) == [
        ("Rescaling", (11, 8, 1)),
        ("Conv2D", (6, 4, 4)),
        ("BatchNormalization", (6, 4, 4)),
        ("LeakyReLU", (6, 4, 4)),
        ("AveragePooling2D", (3, 2, 4)),
        ("Dropout", (3, 2, 4)),
        ("Conv2D", (3, 2, 8)),
        ("BatchNormalization", (3, 2, 8)),
        ("Conv2D", (3, 2, 8)),
        ("BatchNormalization", (3, 2, 8)),
        ("ReLU", (3, 2, 8)),
        ("AveragePooling2D", (2, 1, 8)),
        ("Dropout", (2, 1, 8)),
        ("GlobalAveragePooling2D", (8,)),
        ("Dense", (16,)),
        ("LeakyReLU", (16,)),
        ("Dropout", (16,)),
        ("Dense", (8,)),
        ("ReLU", (8,)),
        ("Dense", (3,)),
    ]
    # 5x5x1x4+4, 4x4, 3x3x4x8+8, 4x8, 3x3x8x8+8, 4x8, 8x16+16, 16x8+8, 8x3+3
    assert model.count_params() == 104 + 16 + 296 + 32 + 584 + 32 + 144 + 136 + 27


def test_network_of_airbench_layer_by_layer() -> None:
    model = models.build_model(AIRBENCH.model_dump(), (32, 32, 3), 10, "standard", STATISTICS)

    def block(side_px: int, pooled_px: int, filters: int) -> list[tuple[str, tuple[int, ...]]]:
        pooled = (pooled_px, pooled_px, filters)
        return [
            ("Conv2D", (side_px, side_px, filters)),
            *((name, pooled) for name in ("MaxPooling2D", "BatchNormalization", "Activation")),
            *((name, pooled) for name in ("Conv2D", "BatchNormalization", "Activation")),
        ]

    assert layer_shapes(model) == [
        ("Rescaling", (32, 32, 3)),
        ("Conv2D", (31, 31, 24)),
        ("Activation", (31, 31, 24)),
        *block(31, 15, 64),
        *block(15, 7, 256),
        *block(7, 3, 256),
        ("GlobalMaxPooling2D", (256,)),
        ("Rescaling", (256,)),
        ("Dense", (10,)),
    ]
    # 3x3 kernels of 24-64-64-256-256-256-256, a shift for each of them, and 256x10+10.
    kernels = 9 * (24 * 64 + 64 * 64 + 64 * 256 + 3 * 256 * 256)
    trained = sum(int(np.prod(weight.shape)) for weight in model.trainable_weights)
    assert trained == kernels + 2 * 64 + 4 * 256 + 2570 == 1_971_338
    # Those of the whitening, and mean and variance of each batch normalisation.
    assert model.count_params() - trained == 2 * 2 * 3 * 24 + 2 * (2 * 64 + 4 * 256)


def test_pooling_before_relu_gives_the_same_as_after_it() -> None:
    pixels = np.random.default_rng(0).integers(0, 256, (3, 16, 16, 1), dtype=np.uint8)
    outputs = []
    for is_before in (False, True):
        tf.keras.utils.set_random_seed(1)
        settings = config.Convnet(filters=(4, 4), dense=(), pool_before_activation=is_before)
        outputs.append(models.build_model(settings.model_dump(), (16, 16, 1), 3, "0..1")(pixels))
    np.testing.assert_allclose(outputs[0], outputs[1], atol=1e-6)


def test_gelu_multiplies_by_the_normal_distribution_function() -> None:
    """Hendrycks and Gimpel, 2016: x P(X <= x)."""
    settings = config.Convnet(filters=(2,), activation="gelu", dense=())
    model = models.build_model(settings.model_dump(), (4, 4, 1), 2, "0..1")
    gelu = next(each for each in model.layers if isinstance(each, tf.keras.layers.Activation))
    values = np.array([-2.0, -0.5, 0.0, 1.0, 3.0], np.float32)
    expected = [x * 0.5 * (1 + math.erf(x / math.sqrt(2))) for x in values]
    np.testing.assert_allclose(gelu(values), expected, atol=1e-6)


@pytest.mark.parametrize("family", [config.Convnet(dense=()), config.Residual()])
def test_output_scale_multiplies_the_input_of_the_output_layer(family: Any) -> None:
    scaled = family.model_copy(update={"output_scale": 0.25})
    pixels = np.random.default_rng(0).integers(0, 256, (2, 16, 16, 1), dtype=np.uint8)
    inputs = []
    for settings in (family, scaled):
        tf.keras.utils.set_random_seed(1)
        model = models.build_model(settings.model_dump(), (16, 16, 1), 3, "0..1")
        inputs.append(tf.keras.Model(model.input, model.layers[-1].input)(pixels))
    np.testing.assert_allclose(inputs[1], inputs[0] / 4, rtol=1e-5)


def test_leaky_relu_multiplies_negative_values_by_its_slope() -> None:
    for slope, expected in ({}, -3.0), ({"leaky_slope": 0.01}, -0.1):
        settings = config.Convnet(filters=(2,), activation="leaky_relu", dense=(), **slope)
        model = models.build_model(settings.model_dump(), (4, 4, 1), 2, "0..1")
        leaky = next(
            layer for layer in model.layers if isinstance(layer, tf.keras.layers.LeakyReLU)
        )
        np.testing.assert_allclose(leaky(np.array([-10.0, 10.0])), [expected, 10.0], rtol=1e-6)


@pytest.mark.parametrize("is_before", [False, True])
def test_batch_normalisation_uses_the_momentum(is_before: bool) -> None:
    settings = config.Convnet(
        filters=(1,),
        batch_norm=True,
        batch_norm_before_activation=is_before,
        batch_norm_momentum=0.75,
        dense=(),
    )
    model = models.build_model(settings.model_dump(), (4, 4, 1), 2, "0..1")
    layer_types = tf.keras.layers.Conv2D, tf.keras.layers.BatchNormalization
    convolution, normalisation = (
        next(layer for layer in model.layers if isinstance(layer, layer_type))
        for layer_type in layer_types
    )
    convolution.set_weights([np.zeros((3, 3, 1, 1)), np.array([8.0])])
    model(np.zeros((2, 4, 4, 1), np.uint8), training=True)
    # From 0, a quarter of the way to the mean of the batch.
    np.testing.assert_allclose(normalisation.moving_mean, [2.0])


def test_layer_names_are_those_of_published_models() -> None:
    settings = config.Convnet(batch_norm=True, conv_dropout=0.25, dense_dropout=0.5)
    tf.keras.backend.clear_session()
    model = models.build_model(settings.model_dump(), (16, 16, 1), 2, "0..1")
    assert [layer.name for layer in model.layers] == [
        *("pixels", "normalise"),
        *("conv2d", "re_lu", "batch_normalization", "max_pooling2d", "dropout"),
        *("conv2d_1", "re_lu_1", "batch_normalization_1", "max_pooling2d_1", "dropout_1"),
        *("flatten", "dense", "re_lu_2", "dropout_2", "probability"),
    ]
    tf.keras.backend.clear_session()
    model = models.build_model(config.Mlp(dropout=0.5).model_dump(), (4, 4, 1), 2, "0..1")
    assert [layer.name for layer in model.layers] == [
        *("pixels", "normalise", "flatten"),
        *("dense", "dropout", "dense_1", "dropout_1", "probability"),
    ]


@pytest.mark.parametrize(
    ("family", "values"),
    [
        (config.Convnet, {"activation": "leaky_relu", "dense_dropout": 0.5}),
        (config.Mlp, {"dropout": 0.5}),
    ],
)
def test_single_value_for_all_layers_is_written_as_a_scalar(
    family: type[config.ConfigSection], values: dict[str, object]
) -> None:
    settings = family(**values)
    assert settings == family(**{key: [value] for key, value in values.items()})
    assert values.items() <= settings.model_dump(mode="json").items()
    assert family.model_validate_json(settings.model_dump_json()) == settings


def test_values_by_layer_are_written_as_a_list() -> None:
    assert ALL_SETTINGS.model_dump(mode="json")["dense_dropout"] == [0.5, 0.0]
    assert config.Convnet.model_validate_json(ALL_SETTINGS.model_dump_json()) == ALL_SETTINGS


def test_default_settings_keep_their_serialised_form() -> None:
    serialised = config.Convnet().model_dump(mode="json")
    assert serialised == {
        "name": "convnet",
        "filters": [32, 32],
        "kernels_px": [3],
        "strides_px": [1],
        "padding": "valid",
        "pooling": "max",
        "pool_after": None,
        "pool_padding": "valid",
        "activation": "relu",
        "leaky_slope": 0.3,
        "batch_norm": False,
        "batch_norm_before_activation": False,
        "batch_norm_momentum": 0.99,
        "batch_norm_scale": True,
        "pool_before_activation": False,
        "conv_bias": True,
        "conv_dropout": 0.0,
        "whitening_px": None,
        "identity_start": False,
        "global_average": False,
        "global_max": False,
        "dense": [128],
        "dense_dropout": 0.0,
        "output_scale": 1.0,
    }
    assert config.Mlp().model_dump(mode="json") == {
        "name": "mlp",
        "hidden": [200, 60],
        "dropout": 0.0,
    }


MISTAKES = [
    ({"strides_px": [2, 2, 2]}, "strides_px has 3 values for 2 filters; give 1 or 2"),
    ({"activation": ["relu", "none"]}, "activation has 2 values for 3 layers; give 1 or 3"),
    ({"dense_dropout": [0.5, 0.2]}, "dense_dropout has 2 values for 1 dense layers; give 1"),
    (
        {"dense": [], "dense_dropout": [0.5, 0.2]},
        "dense_dropout has 2 values for 0 dense layers; give 1",
    ),
    (
        {"name": "mlp", "dropout": [0.1, 0.2, 0.3]},
        "dropout has 3 values for 2 hidden layers; give 1 or 2",
    ),
    *(
        (
            {"pool_after": pool_after},
            f"pool_after {pool_after} must name convolutions from 1 to 2, each once and in order",
        )
        for pool_after in ([3], [2, 1], [1, 1])
    ),
    (
        {"pool_after": [], "conv_dropout": 0.25},
        "conv_dropout 0.25 follows poolings, but pool_after is []; use conv_dropout 0, or name "
        "convolutions in pool_after",
    ),
    (
        {"global_average": True, "global_max": True},
        "global_average and global_max exclude each other; use one of them",
    ),
    (
        {"batch_norm_scale": False},
        "batch_norm_scale false needs batch_norm true; set it, or remove both",
    ),
    (
        {"batch_norm": True, "pool_before_activation": True},
        "pool_before_activation needs batch_norm_before_activation true, as the order is "
        "convolution, pooling, batch_norm, activation; set it, or remove both",
    ),
]


@pytest.mark.parametrize(
    ("settings", "message"), MISTAKES, ids=[message for _, message in MISTAKES]
)
def test_wrong_number_of_values_is_refused(settings: dict[str, object], message: str) -> None:
    with pytest.raises(ConfigError) as caught:
        config.config_from_mapping(
            {"train": {"model": {"name": "convnet", **settings}}}, "run.yaml"
        )
    assert str(caught.value) == f"run.yaml: 1 mistake\n  train.model: {message}"


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"dense_dropout": 1.5}, "dense_dropout.0 = 1.5: must be less than 1"),
        (
            {"activation": ["relu", "tanh", "relu"]},
            "activation.1 = \"tanh\": must be 'relu', 'leaky_relu', 'gelu' or 'none'",
        ),
    ],
)
def test_wrong_value_of_one_layer_is_refused(settings: dict[str, object], message: str) -> None:
    with pytest.raises(ConfigError) as caught:
        config.config_from_mapping(
            {"train": {"model": {"name": "convnet", **settings}}}, "run.yaml"
        )
    assert str(caught.value) == f"run.yaml: 1 mistake\n  train.model.{message}"


@pytest.mark.parametrize(
    ("settings", "height_px", "width_px", "message"),
    [
        (
            {"filters": (4, 4, 4)},
            *(8, 32),
            "images of height 8 px are too small for train.model: the pooling after convolution 2 "
            "needs 2 px and gets 1; use pool_padding same, a shorter pool_after or fewer filters, "
            "or preprocess to a larger size",
        ),
        (
            {"filters": (4, 4), "kernels_px": (3, 6), "strides_px": (2,), "pool_after": ()},
            *(13, 12),
            "images of width 12 px are too small for train.model: convolution 2 needs 6 px and "
            "gets 5; use padding same, a smaller kernel or fewer filters, or preprocess to a "
            "larger size",
        ),
    ],
)
def test_images_too_small_are_refused(
    settings: dict[str, tuple[int, ...]], height_px: int, width_px: int, message: str
) -> None:
    model = config.Convnet(**settings)
    with pytest.raises(ConfigError) as caught:
        model.check_image_size(height_px, width_px)
    assert str(caught.value) == message
    model.check_image_size(max(height_px, 13) + 9, 13 + 9)


@pytest.mark.parametrize(("padding", "side_px"), [("valid", 2), ("same", 4)])
def test_sides_after_two_convolutions_and_poolings(padding: Any, side_px: int) -> None:
    model = config.Convnet(filters=(8, 8), padding=padding)
    model.check_image_size(16, 16)
    assert flattened_shape(model, 16, 16) == (None, side_px, side_px, 8)


def flattened_shape(model: config.Convnet, height_px: int, width_px: int) -> tuple[Any, ...]:
    """Shape of the feature maps that the built network flattens: (None, H, W, filters)."""
    network = models.build_model(model.model_dump(), (height_px, width_px, 1), 2, "0..1")
    layers = network.layers
    flatten = next(layer for layer in layers if isinstance(layer, tf.keras.layers.Flatten))
    return tuple(flatten.input_shape)


def is_large_enough(model: config.Convnet, height_px: int, width_px: int) -> bool:
    """Whether the config accepts images of this size."""
    try:
        model.check_image_size(height_px, width_px)
    except ConfigError:
        return False
    return True


@given(st.data())
@hypothesis_settings(max_examples=25)
def test_the_config_computes_the_sides_of_the_built_network(data: st.DataObject) -> None:
    count = data.draw(st.integers(1, 3))
    each = {"min_size": count, "max_size": count}
    model = config.Convnet(
        filters=(2,) * count,
        kernels_px=tuple(data.draw(st.lists(st.integers(1, 4), **each))),
        strides_px=tuple(data.draw(st.lists(st.integers(1, 3), **each))),
        pool_after=tuple(sorted(data.draw(st.sets(st.integers(1, count))))),
        padding=data.draw(st.sampled_from(["same", "valid"])),
        pool_padding=data.draw(st.sampled_from(["same", "valid"])),
        whitening_px=data.draw(st.sampled_from([None, 2, 3])),
        dense=(),
    )
    height_px, width_px = data.draw(st.integers(1, 20)), data.draw(st.integers(1, 20))
    if not is_large_enough(model, height_px, width_px):
        with pytest.raises(ValueError, match=r"Negative dimension|<= 0"):
            models.build_model(model.model_dump(), (height_px, width_px, 1), 2, "0..1")
        return
    _, *sides_px, num_filters = flattened_shape(model, height_px, width_px)
    assert num_filters == 2
    # One more layer that fits no feature map, so that the error message states its input's side.
    filters, kernels_px = (*model.filters, 2), (*model.kernels_px, 99)
    if model.padding == "valid":
        larger = {
            "filters": filters,
            "kernels_px": kernels_px,
            "strides_px": (*model.strides_px, 1),
        }
        deeper = config.Convnet.model_validate({**model.model_dump(), **larger})
        for input_px, side_px in zip((height_px, width_px), sides_px):
            message = f"convolution {count + 1} needs 99 px and gets {side_px};"
            with pytest.raises(ConfigError, match=message):
                deeper.check_image_size(input_px, input_px)
    elif model.pool_padding == "valid":
        # Poolings of two after `same` convolutions: a side of s px takes floor(log2(s)) of them.
        for input_px, side_px in zip((height_px, width_px), sides_px):
            num_poolings = side_px.bit_length() - 1
            assert is_large_enough(add_poolings(model, num_poolings), input_px, input_px)
            assert not is_large_enough(add_poolings(model, num_poolings + 1), input_px, input_px)


def add_poolings(model: config.Convnet, count: int) -> config.Convnet:
    """Add `count` convolutions of 1 x 1 px, each with a pooling."""
    num_filters = len(model.filters)
    added = {
        "filters": (*model.filters, *(2,) * count),
        "kernels_px": (*model.kernels_px, *(1,) * count),
        "strides_px": (*model.strides_px, *(1,) * count),
        "pool_after": (*(model.pool_after or ()), *range(num_filters + 1, num_filters + count + 1)),
    }
    return config.Convnet.model_validate({**model.model_dump(), **added})


@pytest.fixture
def deterministic() -> Iterator[None]:
    tf.config.experimental.enable_op_determinism()
    yield
    tf_config.disable_op_determinism()
    tf.keras.mixed_precision.set_global_policy("float32")


@pytest.mark.usefixtures("deterministic")
@pytest.mark.parametrize("precision", ["float32", "mixed_float16"])
def test_training_with_every_setting_is_reproducible(precision: str) -> None:
    tf.keras.mixed_precision.set_global_policy(precision)
    rng = np.random.default_rng(0)
    pixels = rng.integers(0, 256, (64, 11, 8, 1), dtype=np.uint8)
    labels = (pixels.mean((1, 2, 3)) > 127).astype(np.int32)

    def train() -> list[np.ndarray]:
        tf.keras.utils.set_random_seed(7)
        model = models.build_model(ALL_SETTINGS.model_dump(), (11, 8, 1), 3, "0..1")
        before = model.get_weights()
        model.compile("adam", "sparse_categorical_crossentropy")
        model.fit(pixels, labels, batch_size=16, epochs=2, verbose=0)
        after = model.get_weights()
        assert all(weight.dtype == np.float32 for weight in after)
        assert all(np.isfinite(weight).all() for weight in after)
        kernels = [(a, b) for a, b in zip(before, after) if a.ndim > 1]
        assert all((a != b).any() for a, b in kernels)
        return after

    for first, second in zip(train(), train()):
        np.testing.assert_array_equal(first, second)


def test_saved_model_has_only_keras_layers(tmp_path: Path) -> None:
    model = models.build_model(ALL_SETTINGS.model_dump(), (11, 8, 1), 3, "0..1")
    model.save(tmp_path / "network.keras")
    with zipfile.ZipFile(tmp_path / "network.keras") as file:
        layers = json.loads(file.read("config.json"))["config"]["layers"]
    assert {layer["module"] for layer in layers} == {"keras.layers"}
    loaded = tf.keras.models.load_model(tmp_path / "network.keras", compile=False)
    pixels = np.random.default_rng(0).integers(0, 256, (5, 11, 8, 1), dtype=np.uint8)
    np.testing.assert_array_equal(loaded(pixels).numpy(), model(pixels).numpy())


def test_mlp_without_hidden_layers_is_a_logistic_regression() -> None:
    model = models.build_model(config.Mlp(hidden=()).model_dump(), (4, 4, 1), 2, "0..1")
    assert [name for name, _ in layer_shapes(model)] == ["Rescaling", "Flatten", "Dense"]


@pytest.mark.parametrize(("normalise", "low", "high"), [("0..1", 0, 1), ("-0.5..0.5", -0.5, 0.5)])
def test_first_layer_normalises(normalise: str, low: float, high: float) -> None:
    model = models.build_model(config.Mlp().model_dump(), (1, 2, 1), 2, normalise)
    pixels = np.array([[[[0], [255]]]], np.uint8)
    np.testing.assert_allclose(normalise_pixels(model, pixels).ravel(), [low, high], atol=1e-6)


def test_standard_subtracts_the_mean_and_divides_by_the_deviation() -> None:
    model = models.build_model(config.Mlp().model_dump(), (1, 2, 3), 2, "standard", STATISTICS)
    assert model.layers[1].name == "normalise"
    assert model.get_layer("normalise").weights == []
    pixels = np.array([[[[10, 100, 200], [14, 0, 199]]]], np.uint8)
    expected = [[[[0, 0, 0], [2, -2, -1]]]]
    np.testing.assert_allclose(normalise_pixels(model, pixels), expected, atol=1e-5)


def test_standard_gives_mean_0_and_deviation_1_on_the_train_split(dataset: Path) -> None:
    data = manifest.read_manifest(str(dataset))
    shards = manifest.read_shards(str(dataset), data, "train")
    urls = [storage.join(str(dataset), file.path) for file in shards]
    tables = [storage.read_table(url, [schema.IMAGE]) for url in urls]
    rows = [row for table in tables for row in table[schema.IMAGE].to_pylist()]
    pixels = np.frombuffer(b"".join(rows), np.uint8).reshape(-1, *data.shape())
    statistics = data.pixel_statistics("train")
    np.testing.assert_allclose(statistics.mean, [pixels.mean()], rtol=1e-12)
    np.testing.assert_allclose(statistics.deviation, [pixels.std()], rtol=1e-12)
    model = models.build_model(config.Mlp().model_dump(), data.shape(), 2, "standard", statistics)
    actual = normalise_pixels(model, pixels).astype(np.float64)
    np.testing.assert_allclose([actual.mean(), actual.std()], [0, 1], atol=1e-5)


def test_standard_without_statistics_is_refused() -> None:
    with pytest.raises(ValueError, match=r"^normalise standard needs the dataset's statistics$"):
        models.build_model(config.Mlp().model_dump(), (1, 2, 3), 2, "standard")


@pytest.mark.parametrize("normalise", ["0..1", "-0.5..0.5", "standard"])
def test_loaded_model_predicts_the_same(tmp_path: Path, normalise: str) -> None:
    settings = config.Convnet(filters=(4,), dense=(8,)).model_dump()
    model = models.build_model(settings, (6, 6, 3), 3, normalise, STATISTICS)
    model.save(tmp_path / "network.keras")
    loaded = tf.keras.models.load_model(tmp_path / "network.keras", compile=False)
    pixels = np.random.default_rng(0).integers(0, 256, (5, 6, 6, 3), dtype=np.uint8)
    np.testing.assert_array_equal(normalise_pixels(loaded, pixels), normalise_pixels(model, pixels))
    np.testing.assert_array_equal(loaded(pixels).numpy(), model(pixels).numpy())


@pytest.mark.parametrize(("classes", "units"), [(2, 1), (3, 3)])
def test_output_is_probabilities(classes: int, units: int) -> None:
    model = models.build_model(config.Mlp().model_dump(), (4, 4, 1), classes, "0..1")
    output = model(np.full((5, 4, 4, 1), 9, np.uint8)).numpy()
    assert output.shape == (5, units)
    assert output.dtype == np.float32
    assert ((output > 0) & (output < 1)).all()


@pytest.mark.parametrize("family", [config.Convnet, config.Mlp])
def test_parameters_of_a_family_are_the_fields_of_its_config(
    family: type[config.ConfigSection],
) -> None:
    fields = set(family.model_fields) - {"name"}
    function = models.FAMILIES[family.model_fields["name"].default]
    assert set(inspect.signature(function).parameters) - {"x"} == fields


def test_families() -> None:
    assert {*models.FAMILIES, "custom"} == set(config.FAMILIES)
