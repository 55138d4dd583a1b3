from __future__ import annotations

from typing import Any

import pytest

from halftone.config import ConfigError, config_from_mapping, load_config


def mistake(**train: Any) -> str:
    """The message about the settings of section `train`, without its heading."""
    with pytest.raises(ConfigError) as caught:
        config_from_mapping({"train": train}, "test")
    return str(caught.value).split("\n  ")[1]


@pytest.mark.parametrize("value", ["none", "balanced", {"cat": 2.0, "dog": 0.5}])
def test_class_weights_are_a_name_or_by_label(value: Any) -> None:
    config = config_from_mapping({"train": {"class_weights": value}}, "test")
    assert config.train.class_weights == value
    again = config_from_mapping(config.model_dump(mode="json"), "test")
    assert again == config


def test_labels_may_be_numbers_in_yaml(tmp_path: Any) -> None:
    path = tmp_path / "run.yaml"
    path.write_text("train: {class_weights: {0: 2, 1: 0.5}}\n")
    assert load_config(str(path)).train.class_weights == {"0": 2.0, "1": 0.5}
    overridden = load_config(str(path), ["train.class_weights={cat: 3}"])
    assert overridden.train.class_weights == {"cat": 3.0}


@pytest.mark.parametrize(
    ("train", "message"),
    [
        (
            {"sampling": "balanced", "class_weights": "balanced"},
            "train: sampling balanced and class_weights balanced would balance the classes twice; "
            "use one of them",
        ),
        (
            {"sampling": "balanced", "cache": "none"},
            "train: sampling balanced draws rows at random from memory; cache is none and shuffle "
            "true. Use cache auto or memory and shuffle true, or class_weights balanced",
        ),
        (
            {"sampling": "balanced", "shuffle": False},
            "train: sampling balanced draws rows at random from memory; cache is auto and shuffle "
            "false. Use cache auto or memory and shuffle true, or class_weights balanced",
        ),
        (
            {"class_weights": "equal"},
            'train.class_weights = "equal": must be none, balanced or {label: weight}, such as '
            "{cat: 2, dog: 0.5}",
        ),
        (
            {"class_weights": {"cat": 1, "dog": 0}},
            "train.class_weights: must be none, balanced or {label: weight} with weights above 0; "
            "that of dog is 0",
        ),
        (
            {"class_weights": {"cat": "2"}},
            "train.class_weights: must be none, balanced or {label: weight} with weights above 0; "
            "that of cat is 2",
        ),
    ],
)
def test_settings_that_make_no_sense(train: dict[str, Any], message: str) -> None:
    assert mistake(**train) == message
