"""The networks of gpu.py, and their small variants for its dry run."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any, NamedTuple

import yaml

_PAPER = Path(__file__).resolve().parent.parent / "conf" / "experiments" / "vgg13-bayes.yaml"
_VGG_13 = yaml.safe_load(_PAPER.read_text(encoding="utf-8"))["base"]["train"]["model"]
# As docs/how-to/training.md has it.
_RESNET_50 = {
    "name": "residual",
    "stem_filters": 64,
    "stem_kernel_px": 7,
    "stem_stride_px": 2,
    "stem_pooling": True,
    "filters": [64, 128, 256, 512],
    "blocks": [3, 4, 6, 3],
    "strides_px": [1, 2, 2, 2],
    "bottleneck": True,
}


class Network(NamedTuple):
    name: str
    description: str
    model: Mapping[str, Any]  # settings of train.model
    small: Mapping[str, Any]  # those that differ in the dry run
    compared_rows: int  # rows of the training that is compared with the CPU's
    compared_epochs: int

    def model_for(self, is_dry_run: bool) -> dict[str, Any]:
        return {**self.model, **(self.small if is_dry_run else {})}


# Rounding grows from step to step where batch normalisation divides by deviations of a batch: few
# steps of those networks are compared.
NETWORKS = (
    Network(
        "default", "two convolutions of 32 filters, dense 128", {"name": "convnet"}, {}, 2048, 6
    ),
    Network(
        "vgg13",
        "the VGG-13 of conf/experiments/vgg13-bayes.yaml",
        _VGG_13,
        {"filters": [4, 4, 8, 8, 16, 16, 32, 32], "dense": [16]},
        512,
        2,
    ),
    Network(
        "resnet50",
        "the ResNet-50 of docs/how-to/training.md",
        _RESNET_50,
        {"stem_filters": 8, "filters": [4, 8, 16, 32], "blocks": [1, 1, 1, 1]},
        512,
        2,
    ),
)
