"""Networks that others have published: layers and shapes as they wrote them, parameters by hand.

Counts: a convolution has kernel * kernel * channels * filters + filters parameters, a dense layer
inputs * units + units, batch normalisation 4 a filter (two of them trained).
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import pytest
import tensorflow as tf

from halftone import models
from halftone.config import from_mapping

Settings = dict[str, Any]


def built(
    settings: Mapping[str, Any], shape: tuple[int, int, int], classes: int = 2
) -> tf.keras.Model:
    train = from_mapping({"train": {"model": {**settings}}}, source="test").train
    return models.build(train.model.model_dump(), shape, classes, "0..1")


def layers_of(model: tf.keras.Model) -> str:
    """Every layer after the normalising one, with the shapes of those that may change it."""
    return ", ".join(said(layer) for layer in model.layers[2:])


def said(layer: tf.keras.layers.Layer) -> str:
    shape = "x".join(map(str, layer.output_shape[1:]))
    kind, facts = type(layer).__name__, layer.get_config()
    if kind == "Conv2D":
        stride_px = facts["strides"][0]
        stride = f"/{stride_px}" if stride_px != 1 else ""
        return f"{facts['kernel_size'][0]}px{stride} {shape}"
    if kind == "Dense":
        activation = facts["activation"]
        return f"dense {shape}" + (f" {activation}" if activation != "linear" else "")
    if kind == "Dropout":
        return f"drop {facts['rate']:g}"
    if kind == "LeakyReLU":
        return f"leaky {facts['alpha']:g}"
    names = {"ReLU": "relu", "BatchNormalization": "norm"}
    pools = {"MaxPooling2D": "max", "AveragePooling2D": "average", "Flatten": "flatten"}
    return names[kind] if kind in names else f"{pools[kind]} {shape}"


def check(
    settings: Mapping[str, Any],
    shape: tuple[int, int, int],
    blocks: list[str],
    count: int,
    classes: int = 2,
) -> None:
    model = built(settings, shape, classes)
    assert layers_of(model) == ", ".join(blocks)
    assert model.count_params() == count


# "Optimization of ConvNets for big data computing and binary image classification" (Rossi, 2022,
# sections 4.1 and 4.1.1). Grey 100x100. Its padding is Keras's default.
REGULARISED: dict[str, Settings] = {
    "model 1": {"name": "convnet", "filters": [32, 32]},
    "model 2": {"name": "convnet", "filters": [32, 32, 64]},
    "model 3": {"name": "convnet", "filters": [32, 32, 64, 128]},
}
VARIANTS: dict[str, Settings] = {
    "base": {},
    "dropout": {"conv_dropout": 0.25, "dense_dropout": 0.5},
    "batch norm": {
        "conv_dropout": 0.25,
        "dense_dropout": 0.5,
        "batch_norm": True,
        "batch_norm_momentum": 0.9,
    },
    "dense": {
        "conv_dropout": 0.25,
        "dense": [128, 128],
        "dense_dropout": [0.5, 0.25],
        "batch_norm": True,
        "batch_norm_momentum": 0.9,
    },
}
REGULARISED_COUNTS = {
    # 1->32: 320, 32->32: 9,248, 23*23*32 = 16,928 -> 128: 2,166,912, 128 -> 1: 129
    ("model 1", "base"): 2_176_609,
    ("model 1", "dropout"): 2_176_609,
    # 4 * (32 + 32) = 256 more
    ("model 1", "batch norm"): 2_176_865,
    # 128 -> 128: 16,512 more
    ("model 1", "dense"): 2_193_377,
    # 320 + 9,248, 32->64: 18,496, 10*10*64 = 6,400 -> 128: 819,328, 129
    ("model 2", "base"): 847_521,
    ("model 2", "dropout"): 847_521,
    # 4 * (32 + 32 + 64) = 512 more
    ("model 2", "batch norm"): 848_033,
    ("model 2", "dense"): 864_545,
    # 320 + 9,248 + 18,496, 64->128: 73,856, 4*4*128 = 2,048 -> 128: 262,272, 129
    ("model 3", "base"): 364_321,
    ("model 3", "dropout"): 364_321,
    # 4 * (32 + 32 + 64 + 128) = 1,024 more
    ("model 3", "batch norm"): 365_345,
    ("model 3", "dense"): 381_857,
}
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


# "ADM - Image Classification with Deep Learning" (Petrini, 2022, section 2.3). Grey 64x64. The
# first dense layer is "very close to the inputs" and in front of the convolutions: on an image
# Keras applies it to each pixel's channels, which is a convolution of 1x1. The paper says nothing
# of filters and kernels: 32 of 3x3.
def searched(dense: int, pooling: str, convolutions: int) -> Settings:
    return {
        "name": "convnet",
        "filters": [dense, *[32] * convolutions],
        "kernels_px": [1, *[3] * convolutions],
        "pool_after": [*range(2, convolutions + 2)],
        "pooling": pooling,
        "dense": [],
    }


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


def test_the_best_of_the_random_search_on_32_px() -> None:
    blocks = [
        "1px 32x32x16, relu",
        "3px 30x30x32, relu, max 15x15x32",
        "flatten 7200",
        "dense 1 sigmoid",
    ]
    # 1 -> 16: 32, 16->32: 4,640, 7,200 -> 1: 7,201
    check(searched(16, "max", 1), (32, 32, 1), blocks, 11_873)


# The other way to read it: the first of the dense layers, after flattening.
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


# "Face/comic recognizer" (VGG-13 with Bayesian optimisation, section 3.3). Grey 96x96. Rate of
# dropout: 0.2 at first, 0.1 in the end. The order in a block is the appendix's.
VGG: Settings = {
    "name": "convnet",
    "filters": [64, 64, 128, 128, 256, 256, 512, 512],
    "padding": "same",
    "pool_after": [2, 4, 6, 8],
    "batch_norm": True,
    "batch_norm_before_activation": True,
    "batch_norm_momentum": 0.9,
    "conv_dropout": 0.2,
    "dense": [256],
    "dense_dropout": 0.2,
}
# 640 + 36,928 + 73,856 + 147,584 + 295,168 + 590,080 + 1,180,160 + 2,359,808
VGG_CONVOLUTIONS = 4_684_224
# 4 * 2 * (64 + 128 + 256 + 512)
VGG_NORMS = 7_680


def test_vgg13_as_its_text_has_it_pools_after_each_pair() -> None:
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


def test_vgg13_as_its_appendix_has_it_pools_after_each_convolution() -> None:
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


def test_the_ten_convolutions_of_vgg13_have_the_9_404_992_parameters_that_are_known() -> None:
    filters = [64, 64, 128, 128, 256, 256, 512, 512, 512, 512]
    settings = {**VGG, "filters": filters, "pool_after": [2, 4, 6, 8, 10]}
    model = built(settings, (96, 96, 3))
    convolutions = [one for one in model.layers if isinstance(one, tf.keras.layers.Conv2D)]
    assert sum(one.count_params() for one in convolutions) == 9_404_992
    assert layers_of(model).endswith(
        "max 3x3x512, drop 0.2, flatten 4608, dense 256, relu, drop 0.2, dense 1 sigmoid"
    )


# "Deep-learning-based system for image classification" (Ciarrocchi, 2022). Colour 64x64.
def test_one_layer_is_logistic_regression() -> None:
    # 64*64*3 + 1
    check({"name": "mlp", "hidden": []}, (64, 64, 3), ["flatten 12288", "dense 1 sigmoid"], 12_289)


def test_the_multi_layer_perceptron_has_the_2_469_921_parameters_of_its_paper() -> None:
    blocks = ["flatten 12288", "dense 200 relu", "dense 60 relu", "dense 1 sigmoid"]
    # 12,288 -> 200: 2,457,800, 200 -> 60: 12,060, 60 -> 1: 61
    check({"name": "mlp", "hidden": [200, 60]}, (64, 64, 3), blocks, 2_469_921)


def test_the_regularised_perceptron_drops_right_before_the_output_alone() -> None:
    settings = {"name": "mlp", "hidden": [200, 60], "dropout": [0.0, 0.25]}
    blocks = ["flatten 12288", "dense 200 relu", "dense 60 relu", "drop 0.25", "dense 1 sigmoid"]
    check(settings, (64, 64, 3), blocks, 2_469_921)


def test_the_perceptron_s_rival_strides_instead_of_pooling() -> None:
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


# "Image Classification using CNNs" (EQ2425, 2021). Colour 32x32, ten classes. Section 4 lists no
# activation between the third convolution and its pooling, and the table does not say otherwise.
# PyTorch's leaky ReLU has a slope of 0.01, as section 5.3 has it; of dropout's place the text says
# "nodes within a layer", of batch normalisation that it takes "activation vectors".
def cifar(
    activation: str = "relu",
    filters: tuple[int, int, int] = (64, 128, 256),
    dense: tuple[int, ...] = (512, 128),
    **settings: object,
) -> Settings:
    return {
        "name": "convnet",
        "filters": [*filters],
        "kernels_px": [5, 3, 3],
        "activation": [activation, activation, "none", *[activation] * len(dense)],
        "leaky_slope": 0.01,
        "dense": [*dense],
        **settings,
    }


CIFAR: dict[str, tuple[Settings, list[str], int]] = {
    # 5*5*3*24 + 24 = 1,824, 24->48: 10,416, 48->96: 41,568, 2*2*96 = 384 -> 512: 197,120,
    # 512 -> 10: 5,130
    "3.2": (
        cifar(filters=(24, 48, 96), dense=(512,)),
        [
            "5px 28x28x24, relu, max 14x14x24",
            "3px 12x12x48, relu, max 6x6x48",
            "3px 4x4x96, max 2x2x96",
            "flatten 384",
            "dense 512, relu",
            "dense 10 softmax",
        ],
        256_058,
    ),
    # 4,864, 64->128: 73,856, 128->256: 295,168, 1,024 -> 512: 524,800, 5,130
    "4.A.1": (
        cifar(dense=(512,)),
        [
            "5px 28x28x64, relu, max 14x14x64",
            "3px 12x12x128, relu, max 6x6x128",
            "3px 4x4x256, max 2x2x256",
            "flatten 1024",
            "dense 512, relu",
            "dense 10 softmax",
        ],
        903_818,
    ),
    # 4,864 + 73,856 + 295,168 + 524,800, 512 -> 128: 65,664, 128 -> 10: 1,290
    "4.A.2": (
        cifar(),
        [
            "5px 28x28x64, relu, max 14x14x64",
            "3px 12x12x128, relu, max 6x6x128",
            "3px 4x4x256, max 2x2x256",
            "flatten 1024",
            "dense 512, relu",
            "dense 128, relu",
            "dense 10 softmax",
        ],
        965_642,
    ),
    # 7*7*3*64 + 64 = 9,472, 5*5*64*128 + 128 = 204,928, 295,168, 1*1*256 -> 512: 131,584,
    # 65,664, 1,290
    "4.B": (
        cifar(kernels_px=[7, 5, 3]),
        [
            "7px 26x26x64, relu, max 13x13x64",
            "5px 9x9x128, relu, max 4x4x128",
            "3px 2x2x256, max 1x1x256",
            "flatten 256",
            "dense 512, relu",
            "dense 128, relu",
            "dense 10 softmax",
        ],
        708_106,
    ),
    "4.C": (
        cifar("leaky_relu"),
        [
            "5px 28x28x64, leaky 0.01, max 14x14x64",
            "3px 12x12x128, leaky 0.01, max 6x6x128",
            "3px 4x4x256, max 2x2x256",
            "flatten 1024",
            "dense 512, leaky 0.01",
            "dense 128, leaky 0.01",
            "dense 10 softmax",
        ],
        965_642,
    ),
    # 5.A, 5.B and 5.C too, as sections 5.5 to 5.8 have it: they change how it is trained.
    "4.D": (
        cifar("leaky_relu", dense_dropout=0.3),
        [
            "5px 28x28x64, leaky 0.01, max 14x14x64",
            "3px 12x12x128, leaky 0.01, max 6x6x128",
            "3px 4x4x256, max 2x2x256",
            "flatten 1024",
            "dense 512, leaky 0.01, drop 0.3",
            "dense 128, leaky 0.01, drop 0.3",
            "dense 10 softmax",
        ],
        965_642,
    ),
    # 4 * (64 + 128 + 256) = 1,792 more. 5.B and 5.C too, as the table has it.
    "4.E": (
        cifar("leaky_relu", dense_dropout=0.3, batch_norm=True),
        [
            "5px 28x28x64, leaky 0.01, norm, max 14x14x64",
            "3px 12x12x128, leaky 0.01, norm, max 6x6x128",
            "3px 4x4x256, norm, max 2x2x256",
            "flatten 1024",
            "dense 512, leaky 0.01, drop 0.3",
            "dense 128, leaky 0.01, drop 0.3",
            "dense 10 softmax",
        ],
        967_434,
    ),
}


@pytest.mark.parametrize("column", CIFAR)
def test_cifar10_ablation(column: str) -> None:
    settings, blocks, count = CIFAR[column]
    check(settings, (32, 32, 3), blocks, count, classes=10)
