from __future__ import annotations

from typing import Any

import pytest

from halftone.config import ConfigError, config_from_mapping


def mistake(**train: Any) -> str:
    """The message about the settings of section `train`, without its heading."""
    with pytest.raises(ConfigError) as caught:
        config_from_mapping({"train": train}, "test")
    return str(caught.value).split("\n  ")[1]


def test_settings_of_the_recipe_are_read() -> None:
    train = config_from_mapping(
        {
            "train": {
                "epochs": 90,
                "optimizer": "sgd",
                "momentum": 0.9,
                "nesterov": True,
                "decay": "steps",
                "decay_epochs": [30, 60],
                "label_smoothing": 0.1,
            }
        },
        "test",
    ).train
    assert (train.decay_epochs, train.decay_factor) == ((30, 60), 0.1)
    assert (train.nesterov, train.label_smoothing) == (True, 0.1)


@pytest.mark.parametrize(
    ("train", "message"),
    [
        (
            {"optimizer": "adamw"},
            "train: optimizer adamw with weight_decay 0 is adam; set weight_decay (such as 0.01), "
            "or use optimizer adam",
        ),
        (
            {"nesterov": True, "momentum": 0.9},
            "train: nesterov needs optimizer sgd and a momentum; they are adam and 0.9. Use sgd "
            "and a momentum such as 0.9, or remove nesterov",
        ),
        (
            {"nesterov": True, "optimizer": "sgd"},
            "train: nesterov needs optimizer sgd and a momentum; they are sgd and 0. Use sgd and a "
            "momentum such as 0.9, or remove nesterov",
        ),
        (
            {"decay": "one_cycle", "warmup_epochs": 2},
            "train: decay one_cycle rises for one_cycle_rise_fraction 0.3 of the training by "
            "itself; use warmup_epochs 0 (it is 2)",
        ),
        (
            {"decay": "steps"},
            "train: decay is steps and decay_epochs []; decay steps needs the epochs after which "
            "the learning rate falls, other decays have none",
        ),
        (
            {"decay_epochs": [3]},
            "train: decay is none and decay_epochs [3]; decay steps needs the epochs after which "
            "the learning rate falls, other decays have none",
        ),
        (
            {"decay": "steps", "decay_epochs": [4, 2, 4]},
            "train: decay_epochs [4, 2, 4] must be in order, each once; use [2, 4]",
        ),
        (
            {"decay": "steps", "decay_epochs": [4, 10]},
            "train: decay_epochs [4, 10]: no epoch follows epoch 10 of 10; use earlier ones, or "
            "more epochs",
        ),
        (
            {"label_smoothing": 1.0},
            "train.label_smoothing = 1.0: must be less than 1",
        ),
    ],
)
def test_settings_that_make_no_sense(train: dict[str, Any], message: str) -> None:
    assert mistake(**train) == message
