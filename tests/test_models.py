from __future__ import annotations

import inspect
from pathlib import Path

import numpy as np
import pytest
import tensorflow as tf

from halftone import config, manifest, models, schema, storage

STATISTICS = ([10.0, 100.0, 200.0], [2.0, 50.0, 1.0])


def shapes(model: tf.keras.Model) -> list[tuple[str, tuple[int, ...]]]:
    return [(type(layer).__name__, tuple(layer.output_shape[1:])) for layer in model.layers[1:]]


def normalised(model: tf.keras.Model, pixels: np.ndarray) -> np.ndarray:
    return tf.keras.Model(model.input, model.get_layer("normalise").output)(pixels).numpy()


def test_a_convnet_layer_by_layer() -> None:
    settings = config.Convnet(
        filters=(4, 8), batch_norm=True, conv_dropout=0.25, dense=(16,), dense_dropout=0.5
    )
    model = models.build(settings.model_dump(), (20, 16, 1), 2, "0..1")
    assert shapes(model) == [
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
    model = models.build(settings.model_dump(), (8, 8, 3), 10, "-0.5..0.5")
    assert [name for name, _ in shapes(model)] == [
        *("Rescaling", "Conv2D", "LeakyReLU", "AveragePooling2D"),
        *("Conv2D", "LeakyReLU", "AveragePooling2D", "Flatten", "Dense"),
    ]
    kernels = [layer.kernel_size for layer in model.layers if hasattr(layer, "kernel_size")]
    assert kernels == [(5, 5), (3, 3)]
    assert model.output_shape == (None, 10)


def test_the_paper_s_multi_layer_perceptron_has_2_469_921_parameters() -> None:
    model = models.build(config.Mlp().model_dump(), (64, 64, 3), 2, "0..1")
    assert model.count_params() == 2_469_921


def test_without_hidden_layers_it_is_logistic_regression() -> None:
    model = models.build(config.Mlp(hidden=()).model_dump(), (4, 4, 1), 2, "0..1")
    assert [name for name, _ in shapes(model)] == ["Rescaling", "Flatten", "Dense"]


@pytest.mark.parametrize(("normalise", "low", "high"), [("0..1", 0, 1), ("-0.5..0.5", -0.5, 0.5)])
def test_the_first_layer_normalises(normalise: str, low: float, high: float) -> None:
    model = models.build(config.Mlp().model_dump(), (1, 2, 1), 2, normalise)
    pixels = np.array([[[[0], [255]]]], np.uint8)
    np.testing.assert_allclose(normalised(model, pixels).ravel(), [low, high], atol=1e-6)


def test_standard_takes_the_mean_off_and_divides_by_the_deviation() -> None:
    model = models.build(config.Mlp().model_dump(), (1, 2, 3), 2, "standard", STATISTICS)
    assert model.layers[1].name == "normalise"
    assert model.get_layer("normalise").weights == []
    pixels = np.array([[[[10, 100, 200], [14, 0, 199]]]], np.uint8)
    expected = [[[[0, 0, 0], [2, -2, -1]]]]
    np.testing.assert_allclose(normalised(model, pixels), expected, atol=1e-5)


def test_standard_gives_mean_0_and_deviation_1_on_the_train_split(dataset: Path) -> None:
    made = manifest.read(str(dataset))
    urls = [storage.join(str(dataset), file.path) for file in made.shards("train")]
    tables = [storage.read_table(url, [schema.IMAGE]) for url in urls]
    rows = [row for table in tables for row in table[schema.IMAGE].to_pylist()]
    pixels = np.frombuffer(b"".join(rows), np.uint8).reshape(-1, *made.shape())
    statistics = made.pixel_statistics("train")
    np.testing.assert_allclose(statistics.mean, [pixels.mean()], rtol=1e-12)
    np.testing.assert_allclose(statistics.deviation, [pixels.std()], rtol=1e-12)
    model = models.build(config.Mlp().model_dump(), made.shape(), 2, "standard", statistics)
    got = normalised(model, pixels).astype(np.float64)
    np.testing.assert_allclose([got.mean(), got.std()], [0, 1], atol=1e-5)


def test_standard_without_statistics_is_refused() -> None:
    with pytest.raises(ValueError, match=r"^normalise standard needs the dataset's statistics$"):
        models.build(config.Mlp().model_dump(), (1, 2, 3), 2, "standard")


@pytest.mark.parametrize("normalise", ["0..1", "-0.5..0.5", "standard"])
def test_a_saved_model_says_the_same_when_loaded(tmp_path: Path, normalise: str) -> None:
    settings = config.Convnet(filters=(4,), dense=(8,)).model_dump()
    model = models.build(settings, (6, 6, 3), 3, normalise, STATISTICS)
    model.save(tmp_path / "network.keras")
    loaded = tf.keras.models.load_model(tmp_path / "network.keras", compile=False)
    pixels = np.random.default_rng(0).integers(0, 256, (5, 6, 6, 3), dtype=np.uint8)
    np.testing.assert_array_equal(normalised(loaded, pixels), normalised(model, pixels))
    np.testing.assert_array_equal(loaded(pixels).numpy(), model(pixels).numpy())


@pytest.mark.parametrize(("classes", "units"), [(2, 1), (3, 3)])
def test_probabilities_come_out(classes: int, units: int) -> None:
    model = models.build(config.Mlp().model_dump(), (4, 4, 1), classes, "0..1")
    output = model(np.full((5, 4, 4, 1), 9, np.uint8)).numpy()
    assert output.shape == (5, units)
    assert output.dtype == np.float32
    assert ((output > 0) & (output < 1)).all()


@pytest.mark.parametrize("family", [config.Convnet, config.Mlp])
def test_a_family_takes_what_the_config_gives(family: type[config.Section]) -> None:
    fields = set(family.model_fields) - {"name"}
    function = models.FAMILIES[family.model_fields["name"].default]
    assert set(inspect.signature(function).parameters) - {"x"} == fields


def test_every_family_has_settings() -> None:
    assert set(models.FAMILIES) == {"convnet", "mlp"}
