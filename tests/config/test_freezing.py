from __future__ import annotations

from typing import Any

import pytest

from halftone.config import ConfigError, config_from_mapping

START = {"start_from": "/models/animals"}
APPLICATION = {"name": "application", "architecture": "MobileNetV2"}


def mistake(**train: Any) -> str:
    """The message about the settings of section `train`, without its heading."""
    with pytest.raises(ConfigError) as caught:
        config_from_mapping({"train": train}, "test")
    return str(caught.value).split("\n  ")[1]


@pytest.mark.parametrize(
    "train",
    [
        {"freeze": "all", **START},
        {"freeze": 3, **START},
        {"freeze": "all", "model": {**APPLICATION, "weights": "/weights_notop.h5"}},
        # The function may load weights itself.
        {"freeze": 2, "model": {"name": "custom", "build": "my_networks:separable"}},
        {"freeze": "none"},
        {
            **{"freeze": "all", "epochs": 6, "unfreeze_after_epochs": 2, **START},
            **{"unfreeze_learning_rate": 1e-5, "warmup_epochs": 1, "decay": "cosine"},
        },
    ],
)
def test_frozen_layers_that_have_weights_to_keep(train: dict[str, Any]) -> None:
    assert config_from_mapping({"train": train}, "test").train.freeze == train["freeze"]


@pytest.mark.parametrize(
    ("train", "message"),
    [
        (
            {"freeze": "all"},
            "train: freeze is all, but all weights are random; set start_from to a model, or "
            "model.weights of model.name application to a weights file, or remove freeze",
        ),
        (
            {"freeze": 2, "model": APPLICATION},
            "train: freeze is 2, but all weights are random; set start_from to a model, or "
            "model.weights of model.name application to a weights file, or remove freeze",
        ),
        (
            {"unfreeze_after_epochs": 2, "unfreeze_learning_rate": 1e-5, **START},
            "train: unfreeze_after_epochs is 2, but freeze is none; set freeze to all or to a "
            "number of layers, or remove unfreeze_after_epochs and unfreeze_learning_rate",
        ),
        (
            {"freeze": "all", "unfreeze_learning_rate": 1e-5, **START},
            "train: unfreeze_after_epochs is None and unfreeze_learning_rate 1e-05; they go "
            "together, so give both, or neither",
        ),
        (
            {"freeze": "all", "unfreeze_after_epochs": 2, **START},
            "train: unfreeze_after_epochs is 2 and unfreeze_learning_rate None; they go together, "
            "so give both, or neither",
        ),
        (
            {
                **{"freeze": "all", "epochs": 4, "unfreeze_after_epochs": 4, **START},
                **{"unfreeze_learning_rate": 1e-5},
            },
            "train: unfreeze_after_epochs 4 of 4 epochs leave none in which all layers are "
            "trained; use fewer, or more epochs",
        ),
        (
            {
                **{"freeze": "all", "epochs": 6, "unfreeze_after_epochs": 2, **START},
                **{"unfreeze_learning_rate": 1e-5, "warmup_epochs": 2},
            },
            "train: warmup_epochs 2 must be fewer than unfreeze_after_epochs 2: the warm-up is "
            "over when all layers are trained",
        ),
        (
            {
                **{"freeze": "all", "epochs": 6, "unfreeze_after_epochs": 2, **START},
                **{"unfreeze_learning_rate": 1e-5, "decay": "steps", "decay_epochs": [1, 2, 4]},
            },
            "train: decay_epochs [1, 2, 4] contain unfreeze_after_epochs 2, after which the "
            "learning rate is unfreeze_learning_rate; use [1, 4]",
        ),
    ],
)
def test_settings_that_exclude_each_other_are_refused(train: dict[str, Any], message: str) -> None:
    assert mistake(**train) == message


@pytest.mark.parametrize("freeze", [0, -1, 1.5, "some", True])
def test_other_values_are_refused(freeze: Any) -> None:
    assert mistake(freeze=freeze, **START).startswith("train.freeze")
