"""Networks of published papers: their layers and shapes, and parameter counts by hand.

Counts: a convolution has kernel * kernel * channels * filters + filters parameters, a dense layer
inputs * units + units, batch normalisation 4 a filter (two of them trained).
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import pytest
import tensorflow as tf

from halftone import models
from halftone.config import config_from_mapping
from paper_networks import (
    CIFAR,
    REGULARISED,
    REGULARISED_COUNTS,
    VARIANTS,
    VGG,
    searched,
)


def build(
    settings: Mapping[str, Any], shape: tuple[int, int, int], classes: int = 2
) -> tf.keras.Model:
    train = config_from_mapping({"train": {"model": {**settings}}}, source="test").train
    return models.build_model(train.model.model_dump(), shape, classes, "0..1")


def describe_layers(model: tf.keras.Model) -> str:
    """Describe every layer after normalisation, with the output shape if the layer changes it."""
    return ", ".join(describe_layer(layer) for layer in model.layers[2:])


def describe_layer(layer: tf.keras.layers.Layer) -> str:
    shape = "x".join(map(str, layer.output_shape[1:]))
    layer_type, settings = type(layer).__name__, layer.get_config()
    if layer_type == "Conv2D":
        stride_px = settings["strides"][0]
        stride = f"/{stride_px}" if stride_px != 1 else ""
        return f"{settings['kernel_size'][0]}px{stride} {shape}"
    if layer_type == "Dense":
        activation = settings["activation"]
        return f"dense {shape}" + (f" {activation}" if activation != "linear" else "")
    if layer_type == "Dropout":
        return f"drop {settings['rate']:g}"
    if layer_type == "LeakyReLU":
        return f"leaky {settings['alpha']:g}"
    names = {"ReLU": "relu", "BatchNormalization": "norm"}
    pools = {"MaxPooling2D": "max", "AveragePooling2D": "average", "Flatten": "flatten"}
    return names[layer_type] if layer_type in names else f"{pools[layer_type]} {shape}"


def check(
    settings: Mapping[str, Any],
    shape: tuple[int, int, int],
    blocks: list[str],
    count: int,
    classes: int = 2,
) -> None:
    model = build(settings, shape, classes)
    assert describe_layers(model) == ", ".join(blocks)
    assert model.count_params() == count


# Sides: 100 - 2 = 98, / 2 = 49, - 2 = 47, / 2 = 23, - 2 = 21, / 2 = 10, - 2 = 8, / 2 = 4.
REGULARISED_SHAPES = [
    ("3px 98x98x32", "max 49x49x32"),
    ("3px 47x47x32", "max 23x23x32"),
    ("3px 21x21x64", "max 10x10x64"),
    ("3px 8x8x128", "max 4x4x128"),
]
FLATTENED = {"model 1": 16_928, "model 2": 6_400, "model 3": 2_048}
REGULARISED_LAYERS = {
    "base": ("{conv}, relu, {pool}", ["dense 128, relu"]),
    "dropout": ("{conv}, relu, {pool}, drop 0.25", ["dense 128, relu, drop 0.5"]),
    "batch norm": ("{conv}, relu, norm, {pool}, drop 0.25", ["dense 128, relu, drop 0.5"]),
    "dense": (
        "{conv}, relu, norm, {pool}, drop 0.25",
        ["dense 128, relu, drop 0.5", "dense 128, relu, drop 0.25"],
    ),
}


@pytest.mark.parametrize(("network", "variant"), REGULARISED_COUNTS)
def test_regularised_convnets(network: str, variant: str) -> None:
    settings = {**REGULARISED[network], **VARIANTS[variant]}
    block, dense = REGULARISED_LAYERS[variant]
    shapes = REGULARISED_SHAPES[: len(settings["filters"])]
    blocks = [
        *(block.format(conv=conv, pool=pool) for conv, pool in shapes),
        f"flatten {FLATTENED[network]}",
        *dense,
        "dense 1 sigmoid",
    ]
    check(settings, (100, 100, 1), blocks, REGULARISED_COUNTS[network, variant])


SEARCHED_COUNTS = {
    # 1 -> 8: 16, 8->32: 2,336, 31*31*32 = 30,752 -> 1: 30,753
    (8, 1): 33_105,
    # 32 + 4,640 + 30,753
    (16, 1): 35_425,
    # 64 + 9,248 + 30,753
    (32, 1): 40_065,
    # 16 + 2,336, 32->32: 9,248, 14*14*32 = 6,272 -> 1: 6,273
    (8, 2): 17_873,
    # 32 + 4,640 + 9,248 + 6,273
    (16, 2): 20_193,
    # 64 + 9,248 + 9,248 + 6,273
    (32, 2): 24_833,
}


@pytest.mark.parametrize("pooling", ["average", "max"])
@pytest.mark.parametrize(("dense", "convolutions"), SEARCHED_COUNTS)
def test_random_search(dense: int, pooling: str, convolutions: int) -> None:
    second = [f"3px 29x29x32, relu, {pooling} 14x14x32"]
    blocks = [
        f"1px 64x64x{dense}, relu",
        f"3px 62x62x32, relu, {pooling} 31x31x32",
        *(second if convolutions == 2 else []),
        "flatten 30752" if convolutions == 1 else "flatten 6272",
        "dense 1 sigmoid",
    ]
    count = SEARCHED_COUNTS[dense, convolutions]
    check(searched(dense, pooling, convolutions), (64, 64, 1), blocks, count)


def test_best_network_of_the_random_search_on_32_px() -> None:
    blocks = [
        "1px 32x32x16, relu",
        "3px 30x30x32, relu, max 15x15x32",
        "flatten 7200",
        "dense 1 sigmoid",
    ]
    # 1 -> 16: 32, 16->32: 4,640, 7,200 -> 1: 7,201
    check(searched(16, "max", 1), (32, 32, 1), blocks, 11_873)


# The other reading of the paper: the dense layer is the first one after flattening.
SEARCHED_BEHIND_COUNTS = {
    # 1->32: 320, 30,752 -> 8: 246,024, 8 -> 1: 9
    (8, 1): 246_353,
    # 320 + 492,048 + 17
    (16, 1): 492_385,
    # 320 + 984,096 + 33
    (32, 1): 984_449,
    # 320, 32->32: 9,248, 6,272 -> 8: 50,184, 9
    (8, 2): 59_761,
    # 320 + 9,248 + 100,368 + 17
    (16, 2): 109_953,
    # 320 + 9,248 + 200,736 + 33
    (32, 2): 210_337,
}


@pytest.mark.parametrize("pooling", ["average", "max"])
@pytest.mark.parametrize(("dense", "convolutions"), SEARCHED_BEHIND_COUNTS)
def test_random_search_with_the_dense_layer_behind(
    dense: int, pooling: str, convolutions: int
) -> None:
    settings = {
        "name": "convnet",
        "filters": [32] * convolutions,
        "pooling": pooling,
        "dense": [dense],
    }
    second = [f"3px 29x29x32, relu, {pooling} 14x14x32"]
    blocks = [
        f"3px 62x62x32, relu, {pooling} 31x31x32",
        *(second if convolutions == 2 else []),
        "flatten 30752" if convolutions == 1 else "flatten 6272",
        f"dense {dense}, relu",
        "dense 1 sigmoid",
    ]
    check(settings, (64, 64, 1), blocks, SEARCHED_BEHIND_COUNTS[dense, convolutions])


# 640 + 36,928 + 73,856 + 147,584 + 295,168 + 590,080 + 1,180,160 + 2,359,808
VGG_CONVOLUTIONS = 4_684_224
# 4 * 2 * (64 + 128 + 256 + 512)
VGG_NORMS = 7_680


def test_vgg13_of_the_text_pools_after_each_pair() -> None:
    blocks = [
        "3px 96x96x64, norm, relu, 3px 96x96x64, norm, relu, max 48x48x64, drop 0.2",
        "3px 48x48x128, norm, relu, 3px 48x48x128, norm, relu, max 24x24x128, drop 0.2",
        "3px 24x24x256, norm, relu, 3px 24x24x256, norm, relu, max 12x12x256, drop 0.2",
        "3px 12x12x512, norm, relu, 3px 12x12x512, norm, relu, max 6x6x512, drop 0.2",
        "flatten 18432",
        "dense 256, relu, drop 0.2",
        "dense 1 sigmoid",
    ]
    # 6*6*512 = 18,432 -> 256: 4,718,848, 256 -> 1: 257
    count = VGG_CONVOLUTIONS + VGG_NORMS + 4_718_848 + 257
    assert count == 9_411_009
    check(VGG, (96, 96, 1), blocks, count)


def test_vgg13_of_the_appendix_pools_after_each_convolution() -> None:
    blocks = [
        "3px 96x96x64, norm, relu, max 48x48x64, drop 0.2",
        "3px 48x48x64, norm, relu, max 24x24x64, drop 0.2",
        "3px 24x24x128, norm, relu, max 12x12x128, drop 0.2",
        "3px 12x12x128, norm, relu, max 6x6x128, drop 0.2",
        "3px 6x6x256, norm, relu, max 3x3x256, drop 0.2",
        "3px 3x3x256, norm, relu, max 2x2x256, drop 0.2",
        "3px 2x2x512, norm, relu, max 1x1x512, drop 0.2",
        "3px 1x1x512, norm, relu, max 1x1x512, drop 0.2",
        "flatten 512",
        "dense 256, relu, drop 0.2",
        "dense 1 sigmoid",
    ]
    # 512 -> 256: 131,328, 257
    count = VGG_CONVOLUTIONS + VGG_NORMS + 131_328 + 257
    assert count == 4_823_489
    check({**VGG, "pool_after": None, "pool_padding": "same"}, (96, 96, 1), blocks, count)


def test_ten_convolutions_of_vgg13_have_9_404_992_parameters() -> None:
    filters = [64, 64, 128, 128, 256, 256, 512, 512, 512, 512]
    settings = {**VGG, "filters": filters, "pool_after": [2, 4, 6, 8, 10]}
    model = build(settings, (96, 96, 3))
    convolutions = [layer for layer in model.layers if isinstance(layer, tf.keras.layers.Conv2D)]
    assert sum(layer.count_params() for layer in convolutions) == 9_404_992
    assert describe_layers(model).endswith(
        "max 3x3x512, drop 0.2, flatten 4608, dense 256, relu, drop 0.2, dense 1 sigmoid"
    )


# "Deep-learning-based system for image classification" (Ciarrocchi, 2022). Colour 64x64.
def test_mlp_without_hidden_layers() -> None:
    # 64*64*3 + 1
    check({"name": "mlp", "hidden": []}, (64, 64, 3), ["flatten 12288", "dense 1 sigmoid"], 12_289)


def test_multi_layer_perceptron_has_2_469_921_parameters() -> None:
    blocks = ["flatten 12288", "dense 200 relu", "dense 60 relu", "dense 1 sigmoid"]
    # 12,288 -> 200: 2,457,800, 200 -> 60: 12,060, 60 -> 1: 61
    check({"name": "mlp", "hidden": [200, 60]}, (64, 64, 3), blocks, 2_469_921)


def test_regularised_perceptron_has_dropout_before_the_output_only() -> None:
    settings = {"name": "mlp", "hidden": [200, 60], "dropout": [0.0, 0.25]}
    blocks = ["flatten 12288", "dense 200 relu", "dense 60 relu", "drop 0.25", "dense 1 sigmoid"]
    check(settings, (64, 64, 3), blocks, 2_469_921)


def test_convnet_of_the_perceptron_paper_strides_instead_of_pooling() -> None:
    settings = {
        "name": "convnet",
        "filters": [12, 24],
        "kernels_px": [3, 6],
        "strides_px": [2],
        "pool_after": [],
        "dense": [200],
    }
    # Sides: (64 - 3) // 2 + 1 = 31, (31 - 6) // 2 + 1 = 13
    blocks = [
        "3px/2 31x31x12, relu",
        "6px/2 13x13x24, relu",
        "flatten 4056",
        "dense 200, relu",
        "dense 1 sigmoid",
    ]
    # 3*3*3*12 + 12 = 336, 6*6*12*24 + 24 = 10,392, 4,056 -> 200: 811,400, 201
    check(settings, (64, 64, 3), blocks, 822_329)


@pytest.mark.parametrize("column", CIFAR)
def test_cifar10_ablation(column: str) -> None:
    settings, blocks, count = CIFAR[column]
    check(settings, (32, 32, 3), blocks, count, classes=10)
