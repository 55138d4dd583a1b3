"""Networks of published papers: their settings, and parameter counts by hand."""

from __future__ import annotations

from typing import Any

Settings = dict[str, Any]


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


# "ADM - Image Classification with Deep Learning" (Petrini, 2022, section 2.3). Grey 64x64. The
# first dense layer is "very close to the inputs", before the convolutions: Keras applies it to the
# channels of each pixel, which is a 1x1 convolution. The paper does not give filters and kernels;
# this is 32 filters of 3x3.
def searched(dense: int, pooling: str, convolutions: int) -> Settings:
    return {
        "name": "convnet",
        "filters": [dense, *[32] * convolutions],
        "kernels_px": [1, *[3] * convolutions],
        "pool_after": [*range(2, convolutions + 2)],
        "pooling": pooling,
        "dense": [],
    }


# "Face/comic recognizer" (VGG-13 with Bayesian optimisation, section 3.3). Grey 96x96. The
# dropout rate was 0.2 at first, 0.1 at the end. The order within a block is that of the appendix.
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
    # Also 5.A, 5.B and 5.C of sections 5.5 to 5.8, which change only the training.
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
    # 4 * (64 + 128 + 256) = 1,792 more. Also 5.B and 5.C of the table.
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
