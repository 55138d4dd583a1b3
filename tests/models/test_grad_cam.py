"""Heat maps of networks of every family, compared with the method written out in plain Keras."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest
import tensorflow as tf

from halftone import models
from halftone.config import config_from_mapping
from halftone.models import grad_cam, saved_model
from halftone.models.grad_cam import GradCam

L = tf.keras.layers
IMAGES = np.random.default_rng(0).integers(0, 256, (4, 32, 32, 3), np.uint8)
ALTERNATING = [0, 1, 0, 1]


def build(classes: int, **settings: Any) -> tf.keras.Model:
    tf.keras.utils.set_random_seed(5)
    train = config_from_mapping({"train": {"model": settings}}, "test").train
    return models.build_model(train.model.model_dump(), IMAGES.shape[1:], classes, "0..1")


@pytest.fixture
def half_precision() -> Iterator[None]:
    tf.keras.mixed_precision.set_global_policy("mixed_float16")
    yield
    tf.keras.mixed_precision.set_global_policy("float32")


def by_hand(body: tf.keras.Model, dense: L.Dense, class_ids: list[int], pooled: bool) -> np.ndarray:
    """Equations 1 and 2 for a network whose scores are linear in its last feature maps.

    Args:
        body: from pixels to the feature maps.
        dense: the output layer.
        pooled: whether the mean of each feature map is taken first; else all values are flattened.
    """
    maps = body(IMAGES, training=False).numpy().astype(np.float64)
    kernel = dense.kernel.numpy().astype(np.float64)  # (features, outputs)
    if kernel.shape[1] == 1:
        kernel = np.hstack([-kernel, kernel])
    _, height, width, channels = maps.shape
    result = []
    for values, class_id in zip(maps, class_ids):
        if pooled:
            gradient = np.tile(kernel[:, class_id] / (height * width), (height, width, 1))
        else:
            gradient = kernel[:, class_id].reshape(height, width, channels)
        weights = gradient.mean(axis=(0, 1))
        result.append(np.maximum((values * weights).sum(axis=-1), 0))
    return np.stack(result)


@pytest.mark.parametrize(("classes", "pooled"), [(2, False), (2, True), (3, False), (3, True)])
def test_a_convnet_as_the_paper_has_it(classes: int, pooled: bool) -> None:
    network = build(
        classes, name="convnet", filters=[5, 7], batch_norm=True, dense=[], global_average=pooled
    )
    moving = network.layers[4]
    assert isinstance(moving, L.BatchNormalization)
    # Statistics of inference that differ from those of these images.
    moving.set_weights([np.full(5, value, np.float32) for value in (1.5, 0.1, 0.2, 3.0)])
    names = [layer.name for layer in network.layers]
    last_map = network.layers[-3].output
    body = tf.keras.Model(network.input, last_map)
    assert last_map.shape[1:] == (6, 6, 7), names
    expected = by_hand(body, network.layers[-1], ALTERNATING, pooled)
    assert expected.max() > 0.001
    result = GradCam(network).compute_maps(IMAGES, ALTERNATING)
    assert result.dtype == np.float32
    np.testing.assert_allclose(result, expected, atol=1e-5 * expected.max())


def test_hidden_dense_layers() -> None:
    """The gradient depends on the image; Keras computes it, between two halves of the network."""
    network = build(3, name="convnet", filters=[5, 7], dense=[9])
    cut = next(i for i, layer in enumerate(network.layers) if isinstance(layer, L.Flatten))
    body = tf.keras.Model(network.input, network.layers[cut].input)
    maps = tf.Variable(body(IMAGES))
    with tf.GradientTape() as tape:
        x = tf.reshape(maps, [4, -1])
        for layer in network.layers[cut + 1 : -1]:
            x = layer(x)
        scores = x @ network.layers[-1].kernel + network.layers[-1].bias
        total = scores[0, 2] + scores[1, 0] + scores[2, 1] + scores[3, 2]
    weights = tape.gradient(total, maps).numpy().mean(axis=(1, 2), keepdims=True)
    expected = np.maximum((weights * maps.numpy()).sum(axis=-1), 0)
    result = GradCam(network).compute_maps(IMAGES, [2, 0, 1, 2])
    np.testing.assert_allclose(result, expected, atol=1e-5 * expected.max())


def test_kernels_behind_the_last_maps_of_more_than_one_place() -> None:
    """A kernel of 1x1 with a stride of 2 makes one place of 2x2."""
    pixels = tf.keras.Input((32, 32, 3), dtype="uint8")
    x = L.Conv2D(4, 16, 16, "valid", name="maps")(L.Rescaling(1 / 255)(pixels))
    last = L.Conv2D(6, 1, 2)
    dense = L.Dense(3, "softmax", dtype="float32")
    network = tf.keras.Model(pixels, dense(L.Flatten()(last(x))))
    maps = network.get_layer("maps").output
    values = tf.keras.Model(pixels, maps)(IMAGES[:3]).numpy()
    # Only the first place is read.
    kernel = last.kernel.numpy()[0, 0] @ dense.kernel.numpy()
    weights = kernel[:, [2, 0, 1]].T / 4
    expected = np.maximum(np.einsum("nhwc,nc->nhw", values, weights), 0)
    explainer = GradCam(network)
    assert explainer._layout.has_kernels_behind
    result = explainer.compute_maps(IMAGES[:3], [2, 0, 1])
    np.testing.assert_allclose(result, expected, atol=1e-5 * expected.max())


@pytest.mark.parametrize("classes", [2, 3])
@pytest.mark.parametrize(
    ("settings", "side"),
    [
        ({"name": "residual", "filters": [4, 6], "blocks": [1], "strides_px": [1, 2]}, 16),
        (
            {
                "name": "residual",
                "filters": [4, 6],
                "blocks": [1],
                "strides_px": [1, 2],
                "activation_order": "pre",
                "output_scale": 0.5,
            },
            16,
        ),
    ],
)
def test_residual_networks(settings: dict[str, Any], side: int, classes: int) -> None:
    network = build(classes, **settings)
    pooling = network.get_layer("global_pooling")
    body = tf.keras.Model(network.input, pooling.input)
    expected = by_hand(body, network.layers[-1], ALTERNATING, pooled=True)
    expected *= settings.get("output_scale", 1)
    assert expected.shape == (4, side, side)
    result = GradCam(network).compute_maps(IMAGES, ALTERNATING)
    np.testing.assert_allclose(result, expected, atol=1e-5 * expected.max())


def test_a_network_inside_the_network() -> None:
    network = build(2, name="application", architecture="VGG16", head={"dense": []})
    inner = models.application.find_backbone(network)
    body = tf.keras.Model(network.input, network.get_layer("head_pooling").input)
    # 32 px become 1 in VGG16: the last maps of more than one place are those before its last
    # pooling.
    assert body.output_shape[1:] == (1, 1, 512)
    result = GradCam(network).compute_maps(IMAGES, ALTERNATING)
    assert result.shape == (4, 2, 2)
    scaled = tf.keras.Model(network.input, network.get_layer("normalise").output)(IMAGES)
    maps = tf.Variable(tf.keras.Model(inner.input, inner.layers[-2].output)(scaled))
    with tf.GradientTape() as tape:
        features = tf.reduce_max(maps, axis=(1, 2))
        scores = features @ network.layers[-1].kernel
        total = tf.reduce_sum(scores * [[-1.0], [1.0], [-1.0], [1.0]])
    weights = tape.gradient(total, maps).numpy().mean(axis=(1, 2), keepdims=True)
    expected = np.maximum((weights * maps.numpy()).sum(axis=-1), 0)
    np.testing.assert_allclose(result, expected, atol=1e-5 * expected.max())


@pytest.mark.parametrize("activation", ["sigmoid", "softmax", "logits", "own"])
def test_networks_of_the_users_own(activation: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """A class of the user's own, whose layers are in no graph."""

    class Own(tf.keras.Model):
        def __init__(self) -> None:
            super().__init__()
            self.conv, self.pool = L.Conv2D(4, 3), L.GlobalAveragePooling2D()
            outputs = 1 if activation == "sigmoid" else 2
            name = activation if activation in ("sigmoid", "softmax") else None
            self.dense = L.Dense(outputs, name)

        def call(self, x: tf.Tensor) -> tf.Tensor:
            y = self.dense(self.pool(tf.nn.relu(self.conv(x))))
            return tf.nn.softmax(y) if activation == "own" else y

    monkeypatch.setattr(
        sys.modules[__name__], "make_own", lambda input_shape, num_classes: Own(), raising=False
    )
    output = "logits" if activation == "logits" else "probabilities"
    network = build(2, name="custom", build=f"{__name__}:make_own", output=output)
    (own,) = (layer for layer in network.layers if isinstance(layer, tf.keras.Model))
    # The last output of a layer is that of the convolution: tf.nn.relu is none.
    maps = tf.Variable(own.conv(IMAGES / np.float32(255)))
    with tf.GradientTape() as tape:
        scores = tf.reduce_mean(tf.nn.relu(maps), axis=(1, 2)) @ own.dense.kernel + own.dense.bias
        if activation == "sigmoid":
            scores = tf.concat([-scores, scores], axis=1)
        if activation == "own":
            scores = tf.math.log(tf.nn.softmax(scores))
        total = scores[0, 0] + scores[1, 1] + scores[2, 0] + scores[3, 1]
    weights = tape.gradient(total, maps).numpy().mean(axis=(1, 2), keepdims=True)
    expected = np.maximum((weights * maps.numpy()).sum(axis=-1), 0)
    explainer = GradCam(network)
    result = explainer.compute_maps(IMAGES, ALTERNATING)
    np.testing.assert_allclose(result, expected, atol=1e-5 * expected.max())
    assert (explainer._layout.score_number is None) == (activation == "own")


@pytest.mark.parametrize("class_id", [0, 1])
def test_the_answer_is_in_the_corner_that_the_network_reads(class_id: int) -> None:
    """Two channels, bright and dark; the score of the second class is brightness, pooled.

    Each image is black but for a bright corner, where the last class has its evidence. The first
    class has it everywhere else.
    """
    images = np.zeros((4, 32, 32, 3), np.uint8)
    corners = [(0, 0), (0, 16), (16, 0), (16, 16)]
    for image, (top, left) in zip(images, corners):
        image[top : top + 16, left : left + 16] = 255
    pixels = tf.keras.Input((32, 32, 3), dtype="uint8")
    x = L.Rescaling(1 / 255)(pixels)
    conv = L.Conv2D(2, 4, 4, activation="relu")
    x = L.GlobalAveragePooling2D()(conv(x))
    dense = L.Dense(1, "sigmoid")
    network = tf.keras.Model(pixels, dense(x))
    kernel = np.stack([np.ones((4, 4, 3)), -np.ones((4, 4, 3))], axis=-1) / 48
    conv.set_weights([kernel, np.array([0.0, 1.0])])
    dense.set_weights([np.array([[1.0], [-1.0]]), np.zeros(1)])
    maps = GradCam(network).compute_maps(images, [class_id] * 4)
    for values, (top, left) in zip(maps, corners):
        is_corner = np.zeros((8, 8), bool)
        is_corner[top // 4 : top // 4 + 4, left // 4 : left // 4 + 4] = True
        is_hot = values > 1e-6
        np.testing.assert_array_equal(is_hot, is_corner if class_id else ~is_corner)


def test_half_precision(half_precision: None) -> None:
    """Small gradients are not rounded to 0, and the map is that of the network in float32."""
    network = build(2, name="convnet", filters=[4, 6], dense=[], global_average=True)
    assert network.layers[-3].compute_dtype == "float16"
    dense = network.layers[-1]
    dense.set_weights([dense.kernel.numpy() * 1e-5, dense.bias.numpy()])
    tf.keras.mixed_precision.set_global_policy("float32")
    whole = build(2, name="convnet", filters=[4, 6], dense=[], global_average=True)
    whole.set_weights(network.get_weights())
    result, expected = (
        GradCam(each).compute_maps(IMAGES, ALTERNATING) for each in (network, whole)
    )
    assert expected.max() > 0
    np.testing.assert_allclose(result, expected, atol=0.02 * expected.max())


def test_certain_predictions_have_a_map_too() -> None:
    """Where a sigmoid of 1.0 has a slope of 0, the score before it has not."""
    network = build(2, name="convnet", filters=[4], dense=[], global_average=True)
    dense = network.layers[-1]
    reference = GradCam(network).compute_maps(IMAGES, [1] * 4)
    dense.set_weights([dense.kernel.numpy(), np.array([90.0])])
    assert network(IMAGES).numpy().ravel().tolist() == [1.0] * 4
    np.testing.assert_allclose(GradCam(network).compute_maps(IMAGES, [1] * 4), reference)


@pytest.mark.parametrize("hidden", [[], [8]])
def test_a_network_without_convolutions_has_no_maps(hidden: list[int]) -> None:
    explainer = GradCam(build(3, name="mlp", hidden=hidden))
    assert not explainer.has_feature_maps
    with pytest.raises(ValueError, match="no feature maps"):
        explainer.compute_maps(IMAGES, ALTERNATING)


def test_the_network_is_as_before(tmp_path: Any) -> None:
    """Also one from a file, in which layers have activations of other objects."""
    network = build(3, name="convnet", filters=[4], dense=[8])
    network.save(tmp_path / "network.keras")
    loaded = saved_model.load_network(str(tmp_path / "network.keras"))
    before = loaded.predict(IMAGES, verbose=0)
    activation = loaded.layers[-1].activation
    explainer = GradCam(loaded)
    np.testing.assert_allclose(
        explainer.compute_maps(IMAGES, ALTERNATING),
        GradCam(network).compute_maps(IMAGES, ALTERNATING),
        rtol=1e-6,
    )
    assert not any("call" in vars(layer) for layer in loaded.layers)
    assert loaded.layers[-1].activation is activation is tf.keras.activations.softmax
    np.testing.assert_array_equal(loaded.predict(IMAGES, verbose=0), before)


def test_an_error_in_a_layer_leaves_the_network_as_before() -> None:
    network = build(3, name="convnet", filters=[4])
    explainer = GradCam(network)
    with pytest.raises(ValueError, match="incompatible"):
        explainer.compute_maps(IMAGES[:, :8], ALTERNATING)
    assert not any("call" in vars(layer) for layer in network.layers)


def test_scores_are_recognised_by_their_probabilities() -> None:
    find = grad_cam._find_scores
    two = tf.constant([[0.0, 1.0]])
    probabilities = tf.nn.softmax(two)
    assert find([two, tf.constant([[5.0, 1.0]])], probabilities) == 0
    assert find([tf.constant([[1.0]])], probabilities[:, 1:]) == 0
    assert find([two], probabilities[:, 1:]) == 0
    assert find([two], probabilities[:, :1]) is None
    assert find([], probabilities) is None
