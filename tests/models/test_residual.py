"""Residual networks: the layers and shapes of published ones, and parameter counts by hand.

Counts: a convolution without bias has kernel * kernel * channels * filters parameters, batch
normalisation 2 trained ones a filter, a dense layer inputs * units + units.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import tensorflow as tf
import yaml

from halftone import models
from halftone.config import ConfigError, config_from_mapping

PAGE = Path(__file__).parents[2] / "docs" / "how-to" / "training.md"
SMALL = {"stem_filters": 4, "filters": (4, 8), "blocks": 1, "strides_px": (1, 2)}


def preset(name: str) -> dict[str, Any]:
    """The settings that docs/how-to/training.md shows for a network."""
    _, _, rest = PAGE.read_text().partition(f"**{name}**")
    block = rest.split("```yaml\n", 1)[1].split("```", 1)[0]
    return yaml.safe_load(block)["train"]["model"]


def build(settings: dict[str, Any], shape: tuple[int, int, int], classes: int) -> tf.keras.Model:
    config = config_from_mapping({"train": {"model": {"name": "residual", **settings}}}, "test")
    return models.build_model(config.train.model.model_dump(), shape, classes, "0..1")


def layers(model: tf.keras.Model) -> list[str]:
    """Every layer after normalisation, with the side and the number of its feature maps."""
    return [
        f"{layer.name} {'x'.join(map(str, layer.output_shape[2:]))}" for layer in model.layers[2:]
    ]


def trained_parameters(model: tf.keras.Model) -> int:
    return sum(int(np.prod(weight.shape)) for weight in model.trainable_weights)


def sides(model: tf.keras.Model) -> dict[str, tuple[int, ...]]:
    """Shape of the output of each stage."""
    return {
        layer.name: tuple(layer.output_shape[1:])
        for layer in model.layers
        if layer.name.startswith("stage") and layer.name.endswith(("_add", "_pool"))
    }


def test_resnet_20_of_section_4_2() -> None:
    """The paper says 0.27 million parameters in table 6; shortcuts A have none."""
    model = build(preset("ResNet-20"), (32, 32, 3), 10)
    # Blocks of two 3x3 convolutions; the first of stage 2 and of stage 3 has other channels.
    stem = 9 * 3 * 16
    stage_1 = 6 * 9 * 16 * 16
    stage_2 = 9 * 16 * 32 + 5 * 9 * 32 * 32
    stage_3 = 9 * 32 * 64 + 5 * 9 * 64 * 64
    norms = 2 * (7 * 16 + 6 * 32 + 6 * 64)
    assert stem + stage_1 + stage_2 + stage_3 + norms + 64 * 10 + 10 == 269_722
    assert trained_parameters(model) == 269_722
    assert model.get_layer("stage1_block3_add").output_shape == (None, 32, 32, 16)
    assert model.get_layer("stage2_block3_add").output_shape == (None, 16, 16, 32)
    assert model.get_layer("stage3_block3_add").output_shape == (None, 8, 8, 64)
    weighted = [layer for layer in model.layers if hasattr(layer, "kernel")]
    assert len(weighted) == 20
    assert preset("ResNet-20")["shortcut"] == "pad"


def test_resnet_18_of_table_1() -> None:
    model = build(preset("ResNet-18"), (224, 224, 3), 1000)
    stem = 49 * 3 * 64
    stage_1 = 4 * 9 * 64 * 64
    stages = [
        9 * half * full + 3 * 9 * full * full + half * full  # the last one is the shortcut B
        for half, full in ((64, 128), (128, 256), (256, 512))
    ]
    norms = 2 * (5 * 64 + 5 * 128 + 5 * 256 + 5 * 512)
    assert stem + stage_1 + sum(stages) + norms + 512 * 1000 + 1000 == 11_689_512
    assert trained_parameters(model) == 11_689_512
    assert model.get_layer("stem_conv").output_shape == (None, 112, 112, 64)
    assert model.get_layer("stem_pool").output_shape == (None, 56, 56, 64)
    assert model.get_layer("stage1_block2_add").output_shape == (None, 56, 56, 64)
    assert model.get_layer("stage4_block2_add").output_shape == (None, 7, 7, 512)


def test_resnet_50_of_table_1() -> None:
    """The network without trained biases of convolutions: 25.6 million parameters."""
    model = build(preset("ResNet-50"), (224, 224, 3), 1000)
    count = 49 * 3 * 64 + 2 * 64
    inputs = 64
    for filters, blocks in ((64, 3), (128, 4), (256, 6), (512, 3)):
        outputs = 4 * filters
        count += inputs * outputs + 2 * outputs  # shortcut B
        for block in range(blocks):
            block_inputs = outputs if block else inputs
            count += block_inputs * filters + 9 * filters * filters + filters * outputs
            count += 2 * (filters + filters + outputs)
        inputs = outputs
    assert count + 2048 * 1000 + 1000 == 25_557_032
    assert trained_parameters(model) == 25_557_032
    assert [shape for name, shape in sides(model).items() if name.endswith("block3_add")] == [
        *((56, 56, 256), (28, 28, 512), (14, 14, 1024), (7, 7, 2048)),
    ]
    assert len([layer for layer in model.layers if hasattr(layer, "kernel")]) == 50 + 4


def test_resnet_9() -> None:
    model = build(preset("ResNet-9"), (32, 32, 3), 10)
    stem = 9 * 3 * 64
    starts = 9 * (64 * 128 + 128 * 256 + 256 * 512)
    blocks = 2 * 9 * 128 * 128 + 2 * 9 * 512 * 512
    norms = 2 * (64 + 3 * 128 + 256 + 3 * 512)
    assert stem + starts + blocks + norms + 512 * 10 + 10 == 6_573_130
    assert trained_parameters(model) == 6_573_130
    assert sides(model) == {
        "stage1_pool": (16, 16, 128),
        "stage1_block1_add": (16, 16, 128),
        "stage2_pool": (8, 8, 256),
        "stage3_pool": (4, 4, 512),
        "stage3_block1_add": (4, 4, 512),
    }


def test_post_activation_layer_by_layer() -> None:
    assert layers(build(SMALL, (9, 9, 1), 3)) == [
        *("stem_conv 9x4", "stem_norm 9x4", "stem_relu 9x4"),
        *("stage1_block1_conv1 9x4", "stage1_block1_conv1_norm 9x4"),
        *("stage1_block1_conv1_relu 9x4", "stage1_block1_conv2 9x4"),
        *("stage1_block1_conv2_norm 9x4", "stage1_block1_add 9x4", "stage1_block1_relu 9x4"),
        *("stage2_block1_conv1_pad 11x4", "stage2_block1_conv1 5x8"),
        *("stage2_block1_conv1_norm 5x8", "stage2_block1_conv1_relu 5x8"),
        *("stage2_block1_shortcut 5x8", "stage2_block1_conv2 5x8"),
        *("stage2_block1_shortcut_norm 5x8", "stage2_block1_conv2_norm 5x8"),
        *("stage2_block1_add 5x8", "stage2_block1_relu 5x8"),
        *("global_pooling ", "probability "),
    ]


def connections(model: tf.keras.Model) -> dict[str, set[str]]:
    """The layers that each layer takes its input from."""
    found: dict[str, set[str]] = {}
    for layer in model.layers[2:]:
        inputs = layer.input if isinstance(layer.input, list) else [layer.input]
        found[layer.name] = {tensor.node.layer.name for tensor in inputs}
    return found


def test_pre_activation_of_he_2016() -> None:
    settings = {**SMALL, "blocks": 2, "activation_order": "pre", "dropout": 0.5}
    inputs = connections(build(settings, (8, 8, 1), 3))
    assert inputs == {
        "stem_conv": {"normalise"},
        "stem_norm": {"stem_conv"},
        "stem_relu": {"stem_norm"},
        # The first block shares the activation of the stem with its shortcut.
        "stage1_block1_conv1": {"stem_relu"},
        "stage1_block1_conv1_norm": {"stage1_block1_conv1"},
        "stage1_block1_conv1_relu": {"stage1_block1_conv1_norm"},
        "stage1_block1_conv2": {"stage1_block1_conv1_relu"},
        "stage1_block1_add": {"stem_relu", "stage1_block1_conv2"},
        # The shortcut of a block that keeps the shape is the identity.
        "stage1_block2_norm": {"stage1_block1_add"},
        "stage1_block2_relu": {"stage1_block2_norm"},
        "stage1_block2_conv1": {"stage1_block2_relu"},
        "stage1_block2_conv1_norm": {"stage1_block2_conv1"},
        "stage1_block2_conv1_relu": {"stage1_block2_conv1_norm"},
        "stage1_block2_conv2": {"stage1_block2_conv1_relu"},
        "stage1_block2_add": {"stage1_block1_add", "stage1_block2_conv2"},
        # A block that changes the shape activates before the paths part.
        "stage2_block1_norm": {"stage1_block2_add"},
        "stage2_block1_relu": {"stage2_block1_norm"},
        "stage2_block1_conv1_pad": {"stage2_block1_relu"},
        "stage2_block1_conv1": {"stage2_block1_conv1_pad"},
        "stage2_block1_conv1_norm": {"stage2_block1_conv1"},
        "stage2_block1_conv1_relu": {"stage2_block1_conv1_norm"},
        "stage2_block1_conv2": {"stage2_block1_conv1_relu"},
        "stage2_block1_shortcut": {"stage2_block1_relu"},
        "stage2_block1_add": {"stage2_block1_shortcut", "stage2_block1_conv2"},
        "stage2_block2_norm": {"stage2_block1_add"},
        "stage2_block2_relu": {"stage2_block2_norm"},
        "stage2_block2_conv1": {"stage2_block2_relu"},
        "stage2_block2_conv1_norm": {"stage2_block2_conv1"},
        "stage2_block2_conv1_relu": {"stage2_block2_conv1_norm"},
        "stage2_block2_conv2": {"stage2_block2_conv1_relu"},
        "stage2_block2_add": {"stage2_block1_add", "stage2_block2_conv2"},
        "last_norm": {"stage2_block2_add"},
        "last_relu": {"last_norm"},
        "global_pooling": {"last_relu"},
        "dropout": {"global_pooling"},
        "probability": {"dropout"},
    }


def test_activation_before_the_addition() -> None:
    settings = {**SMALL, "activation_order": "before_addition", "global_pooling": "max"}
    inputs = connections(build(settings, (8, 8, 1), 3))
    assert inputs["stage1_block1_add"] == {"stem_relu", "stage1_block1_conv2_relu"}
    assert inputs["stage2_block1_conv1_pad"] == {"stage1_block1_add"}
    assert inputs["global_pooling"] == {"stage2_block1_add"}
    model = build(settings, (8, 8, 1), 3)
    assert isinstance(model.get_layer("global_pooling"), tf.keras.layers.GlobalMaxPooling2D)


def test_bottleneck_has_four_outputs_per_filter() -> None:
    model = build({**SMALL, "bottleneck": True}, (8, 8, 1), 3)
    kernels = {
        layer.name: (*layer.kernel_size, layer.strides[0], layer.filters)
        for layer in model.layers
        if layer.name.startswith("stage2") and isinstance(layer, tf.keras.layers.Conv2D)
    }
    assert kernels == {
        "stage2_block1_conv1": (1, 1, 1, 8),
        "stage2_block1_conv2": (3, 3, 2, 8),
        "stage2_block1_conv3": (1, 1, 1, 32),
        "stage2_block1_shortcut": (1, 1, 2, 32),
    }


def test_padded_shortcut_takes_every_second_pixel_and_adds_zeros() -> None:
    model = build({**SMALL, "filters": (4, 7), "shortcut": "pad"}, (5, 5, 1), 3)
    layer_input = model.get_layer("stage2_block1_shortcut_pick").input
    shortcut = tf.keras.Model(layer_input, model.get_layer("stage2_block1_shortcut_pad").output)
    values = np.random.default_rng(0).normal(size=(2, 5, 5, 4)).astype(np.float32)
    expected = np.zeros((2, 3, 3, 7), np.float32)
    expected[..., 1:5] = values[:, ::2, ::2]
    np.testing.assert_array_equal(shortcut(values), expected)


@pytest.mark.parametrize("side_px", [8, 9])
def test_strided_convolution_is_centred_on_the_pixels_of_the_shortcut(side_px: int) -> None:
    model = build(SMALL, (side_px, side_px, 1), 3)
    convolution = model.get_layer("stage2_block1_conv1")
    kernel = np.zeros((3, 3, 4, 8), np.float32)
    kernel[1, 1, 0, 0] = 1  # the centre alone
    convolution.set_weights([kernel])
    path = tf.keras.Model(model.get_layer("stage2_block1_conv1_pad").input, convolution.output)
    values = np.random.default_rng(0).normal(size=(1, side_px, side_px, 4)).astype(np.float32)
    np.testing.assert_array_equal(path(values)[..., 0], values[:, ::2, ::2, 0])


def test_batch_norm_has_its_momentum() -> None:
    model = build({**SMALL, "batch_norm_momentum": 0.7}, (8, 8, 1), 3)
    norms = [
        layer for layer in model.layers if isinstance(layer, tf.keras.layers.BatchNormalization)
    ]
    assert len(norms) == 6
    assert {layer.momentum for layer in norms} == {0.7}


def test_file_opens_without_halftone(tmp_path: Path) -> None:
    settings = {**SMALL, "shortcut": "pad", "activation_order": "pre", "stem_pooling": True}
    model = build(settings, (8, 8, 3), 3)
    model.save(tmp_path / "network.keras")
    loaded = tf.keras.models.load_model(tmp_path / "network.keras", compile=False, safe_mode=True)
    pixels = np.random.default_rng(0).integers(0, 256, (2, 8, 8, 3), np.uint8)
    np.testing.assert_array_equal(loaded(pixels), model(pixels))
    np.testing.assert_allclose(model(pixels).numpy().sum(axis=1), 1, atol=1e-6)


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"blocks": [1, 2]}, "blocks has 2 values for 3 stages; give 1 or 3"),
        ({"strides_px": [1, 2]}, "strides_px has 2 values for 3 stages; give 1 or 3"),
        (
            {"blocks": [1, 0, 1]},
            "blocks [1, 0, 1]: a stage without blocks has no layers; use 1 or more, or "
            "stage_start convolution",
        ),
        (
            {"shortcut": "pad", "stem_filters": 32},
            "shortcut pad adds channels and cannot remove any, but stem and stages have 32, 16, "
            "32, 64; use growing filters, or shortcut projection",
        ),
    ],
)
def test_settings_that_do_not_fit_together(settings: dict[str, Any], message: str) -> None:
    with pytest.raises(ConfigError) as caught:
        config_from_mapping({"train": {"model": {"name": "residual", **settings}}}, "run.yaml")
    assert str(caught.value) == f"run.yaml: 1 mistake\n  train.model: {message}"
