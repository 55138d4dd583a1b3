"""The networks of keras.applications: input scaling, weights files and head."""

from __future__ import annotations

import http.server
import sys
import threading
from collections.abc import Iterator
from functools import partial
from pathlib import Path
from typing import Any, Callable

import h5py
import numpy as np
import pytest
import tensorflow as tf

from halftone import models
from halftone.config import Application, AugmentSettings, ConfigError, config_from_mapping
from halftone.config.application import ARCHITECTURES
from halftone.errors import InputError
from halftone.models import application, saved_model, weights_file
from halftone.training import start_weights

PIXELS = np.random.default_rng(0).integers(0, 256, (2, 32, 32, 3), np.uint8)
SMALL = "MobileNetV3Small"


def build(architecture: str = SMALL, channels: int = 3, classes: int = 3, **settings: Any) -> Any:
    model = Application(architecture=architecture, **settings)
    return models.build_model(model.model_dump(), (32, 32, channels), classes, "0..1")


def body_of(network: tf.keras.Model) -> tf.keras.Model:
    (body,) = (layer for layer in network.layers if isinstance(layer, tf.keras.Model))
    return body


def features_of(network: tf.keras.Model) -> tf.keras.Model:
    """The network up to the last feature maps."""
    return tf.keras.Model(network.input, network.get_layer("head_pooling").input)


@pytest.fixture(scope="module")
def plain() -> tf.keras.Model:
    """The network as Keras builds it, with weights that no two layers share."""
    model = tf.keras.applications.MobileNetV3Small(
        include_top=False, weights=None, input_shape=(32, 32, 3)
    )
    rng = np.random.default_rng(1)
    model.set_weights([rng.uniform(0.1, 0.2, weight.shape) for weight in model.get_weights()])
    return model


@pytest.fixture
def weights(plain: tf.keras.Model, tmp_path: Path) -> Path:
    path = tmp_path / "small_notop.h5"
    plain.save_weights(path)
    return path


def test_architectures_are_those_of_keras() -> None:
    known = {
        name
        for name in dir(tf.keras.applications)
        if name[0].isupper() and callable(getattr(tf.keras.applications, name))
    }
    assert set(ARCHITECTURES) == known
    assert len(ARCHITECTURES) == len(known)


@pytest.mark.parametrize("architecture", ARCHITECTURES)
def test_input_scaling_is_that_of_keras(architecture: str) -> None:
    pixels = tf.keras.Input((4, 5, 3), dtype="uint8")
    scaled = tf.keras.Model(pixels, application.add_input_scaling(pixels, architecture))
    values = PIXELS[:, :4, :5]
    module = sys.modules[getattr(tf.keras.applications, architecture).__module__]
    expected = module.preprocess_input(values.astype(np.float32))
    np.testing.assert_allclose(scaled(values), expected, atol=2e-5)


@pytest.mark.parametrize("architecture", ["MobileNet", "ResNet50", "DenseNet121", "VGG16"])
def test_grey_goes_in_as_three_equal_channels(architecture: str) -> None:
    grey, colour = tf.keras.Input((4, 5, 1), dtype="uint8"), tf.keras.Input((4, 5, 3))
    from_grey = tf.keras.Model(grey, application.add_input_scaling(grey, architecture))
    from_colour = tf.keras.Model(colour, application.add_input_scaling(colour, architecture))
    values = PIXELS[:, :4, :5, :1]
    np.testing.assert_array_equal(
        from_grey(values), from_colour(np.repeat(values, 3, axis=3).astype(np.float32))
    )


def test_features_are_those_of_keras(plain: tf.keras.Model, weights: Path) -> None:
    network = build()
    application.load_weights(network, SMALL, str(weights))
    features = features_of(network)(PIXELS)
    np.testing.assert_allclose(features, plain(PIXELS.astype(np.float32)), rtol=1e-4)


def test_head() -> None:
    network = build(head={"pooling": "max", "dense": (16, 8), "dropout": 0.5}, classes=2)
    names = [layer.name for layer in network.layers]
    assert names[:2] == ["pixels", "normalise"]
    assert names[3:] == [
        *("head_pooling", "head_dropout", "head_dense_1", "head_dropout_1", "head_dense_2"),
        *("head_dropout_2", "probability"),
    ]
    # 576 feature maps
    own = network.count_params() - body_of(network).count_params()
    assert own == (576 * 16 + 16) + (16 * 8 + 8) + (8 + 1)
    assert isinstance(network.get_layer("head_pooling"), tf.keras.layers.GlobalMaxPooling2D)
    assert network.get_layer("head_dense_1").activation is tf.keras.activations.relu
    assert build().count_params() - body_of(build()).count_params() == 576 * 3 + 3


def test_augmentation_comes_before_the_scaling() -> None:
    model = Application(architecture=SMALL).model_dump()
    augment = AugmentSettings(flip="horizontal").image_settings()
    tf.keras.backend.clear_session()  # Keras numbers layers of one type
    network = models.build_model(model, (32, 32, 1), 3, "0..1", augment=augment)
    assert [layer.name for layer in network.layers[:5]] == [
        *("pixels", "random_flip", "three_channels", "normalise", "MobilenetV3small"),
    ]


def test_nothing_is_downloaded(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: object, **__: object) -> None:
        raise AssertionError("a download")

    for name in list(sys.modules):
        if name.startswith("keras.src.applications."):
            data_utils = getattr(sys.modules[name], "data_utils", None)
            if data_utils is not None:
                monkeypatch.setattr(data_utils, "get_file", refuse)
    build()


def test_file_opens_without_halftone(tmp_path: Path) -> None:
    network = build(channels=1)
    network.save(tmp_path / "network.keras")
    loaded = tf.keras.models.load_model(tmp_path / "network.keras", compile=False)
    np.testing.assert_array_equal(loaded(PIXELS[..., :1]), network(PIXELS[..., :1]))


@pytest.fixture
def shallow(monkeypatch: pytest.MonkeyPatch) -> None:
    """The architectures of Keras with one or two blocks where they repeat one more often.

    Each kind of block and shortcut is there. Keras' network and Halftone's are built by the same
    functions.
    """
    from keras.src.applications import (
        convnext,
        densenet,
        efficientnet,
        efficientnet_v2,
        regnet,
        resnet,
        resnet_rs,
    )

    def twice(blocks: list[dict[str, Any]], key: str) -> list[dict[str, Any]]:
        return [{**block, key: min(2, block[key])} for block in blocks]

    for configs, name in ((convnext.MODEL_CONFIGS, "tiny"), (regnet.MODEL_CONFIGS, "x002")):
        monkeypatch.setitem(configs, name, {**configs[name], "depths": [1, 1, 1, 2]})
    monkeypatch.setattr(
        efficientnet, "DEFAULT_BLOCKS_ARGS", twice(efficientnet.DEFAULT_BLOCKS_ARGS, "repeats")
    )
    for configs, name, key in (
        (efficientnet_v2.DEFAULT_BLOCKS_ARGS, "efficientnetv2-b0", "num_repeat"),
        (resnet_rs.BLOCK_ARGS, 50, "num_repeats"),
    ):
        monkeypatch.setitem(configs, name, twice(configs[name], key))
    dense_block = densenet.dense_block
    monkeypatch.setattr(densenet, "dense_block", lambda x, _, name: dense_block(x, 2, name))
    for name in ("stack1", "stack2"):
        stack = getattr(resnet, name)
        monkeypatch.setattr(
            resnet,
            name,
            lambda x, filters, _, stack=stack, **settings: stack(x, filters, 2, **settings),
        )


@pytest.mark.slow
@pytest.mark.parametrize(
    "architecture",
    [
        *("ConvNeXtTiny", "DenseNet121", "EfficientNetB0", "EfficientNetV2B0", "MobileNetV2"),
        *("RegNetX002", "ResNet50", "ResNet50V2", "ResNetRS50"),
    ],
)
@pytest.mark.usefixtures("shallow")
def test_every_family_gives_the_features_of_keras(architecture: str, tmp_path: Path) -> None:
    """From a weights file, on grey images, also after the network was saved and loaded."""
    module = sys.modules[getattr(tf.keras.applications, architecture).__module__]
    plain = getattr(tf.keras.applications, architecture)(
        include_top=False, weights=None, input_shape=(32, 32, 3)
    )
    plain.save_weights(tmp_path / "weights.h5")
    network = build(architecture, channels=1)
    application.load_weights(network, architecture, str(tmp_path / "weights.h5"))
    grey = PIXELS[..., :1]
    colour = np.repeat(grey, 3, axis=3).astype(np.float32)
    features = features_of(network)(grey)
    expected = plain(module.preprocess_input(colour)).numpy()
    np.testing.assert_allclose(features, expected, rtol=1e-4, atol=1e-5 * abs(expected).max())
    # As training publishes it: any Keras opens the file.
    (tmp_path / "network.keras").write_bytes(saved_model.serialise_network(network))
    loaded = tf.keras.models.load_model(tmp_path / "network.keras")
    np.testing.assert_array_equal(loaded(grey), network(grey))


@pytest.mark.slow
@pytest.mark.usefixtures("shallow")
def test_published_efficientnet_is_scaled_as_by_keras(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The published file has deviations as variances; with weights="imagenet" Keras mends that."""
    from keras.src.applications import efficientnet

    published = tf.keras.applications.EfficientNetB0(include_top=False, weights=None)
    normalisation = published.get_layer(index=2)
    means, deviations = np.array([0.485, 0.456, 0.406]), np.array([0.229, 0.224, 0.225])
    shapes = [weight.shape for weight in normalisation.get_weights()]
    normalisation.set_weights([means.reshape(shapes[0]), deviations.reshape(shapes[1]), 0])
    path = str(tmp_path / "efficientnetb0_notop.h5")
    published.save_weights(path)
    monkeypatch.setattr(efficientnet.data_utils, "get_file", lambda *_, **__: path)
    expected = tf.keras.applications.EfficientNetB0(include_top=False, weights="imagenet")
    network = build("EfficientNetB0")
    application.load_weights(network, "EfficientNetB0", path)
    features = features_of(network)(PIXELS)
    np.testing.assert_allclose(features, expected(PIXELS.astype(np.float32)), rtol=1e-4, atol=1e-6)


@pytest.fixture
def served(tmp_path: Path) -> Iterator[str]:
    """The URL at which a server shows the folder."""

    class Quiet(http.server.SimpleHTTPRequestHandler):
        def log_message(self, *_: Any) -> None:
            pass

    handler = partial(Quiet, directory=str(tmp_path))
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{server.server_port}"
        server.shutdown()


def test_weights_of_a_url(plain: tf.keras.Model, weights: Path, served: str) -> None:
    url = f"{served}/{weights.name}"
    model = {"name": "application", "architecture": SMALL, "weights": url}
    settings = config_from_mapping({"train": {"model": model}}, "test").train
    network = build(weights=url)
    line = start_weights.set_start_weights(network, settings, ["a", "b", "c"])
    assert line == f"starting from the weights of MobileNetV3Small in {url}"
    for expected, actual in zip(plain.get_weights(), body_of(network).get_weights()):
        np.testing.assert_array_equal(actual, expected)


def load_error(path: Path, architecture: str = SMALL) -> str:
    with pytest.raises(InputError) as caught:
        application.load_weights(build(architecture), architecture, str(path))
    return str(caught.value)


def test_weights_of_another_width_name_layer_and_shapes(tmp_path: Path) -> None:
    path = tmp_path / "wide.h5"
    tf.keras.applications.MobileNetV3Small(
        include_top=False, weights=None, input_shape=(32, 32, 3), alpha=0.75
    ).save_weights(path)
    assert load_error(path) == (
        f"train.model.weights: {path} does not fit MobileNetV3Small: layer "
        "expanded_conv_3/project there has weights of 1x1x96x32, layer expanded_conv_3/project "
        "here of 1x1x96x40. Use the *_notop.h5 of this architecture"
    )


def test_weights_with_a_head_are_refused(tmp_path: Path) -> None:
    path = tmp_path / "top.h5"
    tf.keras.applications.MobileNetV3Small(weights=None, input_shape=(32, 32, 3)).save_weights(path)
    message = load_error(path)
    assert "layers with weights there, " in message
    assert message.endswith("Use the *_notop.h5 of this architecture")


def test_file_of_another_format_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "weights.h5"
    with h5py.File(path, "w") as file:
        file["layers"] = np.zeros(3)
    assert load_error(path) == (
        f"{path} has no attribute layer_names, so it is not a weights file of Keras' HDF5 format; "
        "write one with save_weights(path, save_format='h5')"
    )
    path.write_bytes(b"no weights")
    assert load_error(path).startswith(f"{path} is no HDF5 file, or damaged (")
    path.unlink()
    assert load_error(path) == f"{path} does not exist; give another path or URL"


def test_file_of_a_whole_model_has_its_weights_in_a_group(
    plain: tf.keras.Model, tmp_path: Path, weights: Path
) -> None:
    plain.save(tmp_path / "model.h5")
    whole, alone = (
        weights_file.read_layers(str(path)) for path in (tmp_path / "model.h5", weights)
    )
    assert [layer.name for layer in whole] == [layer.name for layer in alone]
    assert sum(len(layer.arrays) for layer in whole) == len(plain.get_weights())


def mistake(**settings: Any) -> str:
    train = {**settings, "model": {"name": "application", **settings["model"]}}
    with pytest.raises(ConfigError) as caught:
        config_from_mapping({"train": train}, "run.yaml")
    return str(caught.value).removeprefix("run.yaml: 1 mistake\n  ")


def test_unknown_architecture() -> None:
    message = mistake(model={"architecture": "ResNet50v2"})
    assert message.startswith(
        'train.model.architecture = "ResNet50v2": not in keras.applications; did you mean '
        "ResNet50V2? it has ConvNeXtTiny, ConvNeXtSmall, "
    )


def test_unknown_key_of_the_head() -> None:
    message = mistake(model={"architecture": SMALL, "head": {"pool": "max"}})
    assert message == (
        "train.model.head.pool: unknown key; did you mean pooling? valid here: pooling, dense, "
        "dropout"
    )


def test_pixels_are_not_scaled_twice() -> None:
    assert mistake(model={"architecture": SMALL}, normalise="standard") == (
        "train: normalise is standard, but model.name application scales its input as "
        "MobileNetV3Small needs it; remove normalise"
    )


@pytest.mark.parametrize(
    ("architecture", "size", "smallest_px"),
    [(SMALL, (31, 40), 32), ("InceptionV3", (80, 74), 75), ("Xception", (70, 70), 71)],
)
def test_images_that_are_too_small(
    architecture: str, size: tuple[int, int], smallest_px: int
) -> None:
    model = Application(architecture=architecture)
    with pytest.raises(ConfigError) as caught:
        model.check_image_size(*size)
    assert str(caught.value) == (
        f"images of {size[0]}x{size[1]} px are too small for train.model.architecture "
        f"{architecture}, which needs {smallest_px} px; preprocess to a larger size, or use "
        "train.model.name residual"
    )
    model.check_image_size(smallest_px, smallest_px)


def test_missing_weights_are_found_before_the_ranks_start(
    tmp_path: Path, config: Callable[..., Any]
) -> None:
    from example_manifest import example
    from halftone.launch import network_checks

    model = {"name": "application", "architecture": SMALL, "weights": str(tmp_path / "none.h5")}
    manifest = example().model_copy(
        update={"pixels": config(pixels={"height_px": 32, "width_px": 32}).pixels}
    )
    with pytest.raises(InputError) as caught:
        network_checks.check_network_settings(config(train={"model": model}).train, manifest, "/d")
    assert str(caught.value) == (
        f"train.model.weights: {tmp_path}/none.h5 does not exist; give the path or URL of the "
        "*_notop.h5 of MobileNetV3Small, or none"
    )


def test_paths_become_absolute(config: Callable[..., Any], monkeypatch: pytest.MonkeyPatch) -> None:
    from halftone.launch import network_checks

    monkeypatch.chdir("/tmp")
    model = {"name": "application", "architecture": SMALL, "weights": "small_notop.h5"}
    changed = network_checks.with_absolute_urls(
        config(train={"model": model, "start_from": "first"})
    )
    assert changed.train.model.weights == "/tmp/small_notop.h5"
    assert changed.train.start_from == "/tmp/first"
    plain = config(train={"model": {**model, "weights": "none"}})
    assert network_checks.with_absolute_urls(plain) == plain
