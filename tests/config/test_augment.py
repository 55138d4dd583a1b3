"""Settings of augmentation that are refused."""

from __future__ import annotations

from typing import Any

import pytest

from halftone.config import (
    Application,
    AugmentSettings,
    ConfigError,
    TrainSettings,
    config_from_mapping,
)


def mistake(**augment: Any) -> str:
    """The message about the settings of section `train.augment`, without its heading."""
    with pytest.raises(ConfigError) as caught:
        config_from_mapping({"train": {"augment": augment}}, "test")
    return str(caught.value).split("\n  ")[1]


def image_mistake(shape: tuple[int, int, int], **augment: Any) -> str:
    """The message about settings that do not fit images of a shape."""
    settings = TrainSettings(augment=AugmentSettings(**augment))
    with pytest.raises(ConfigError) as caught:
        settings.check_images(*shape)
    return str(caught.value)


@pytest.mark.parametrize(
    ("augment", "message"),
    [
        (
            {"shift_fraction": 0.1, "crop_padding_px": 4},
            "train.augment: shift_fraction is 0.1 and crop_padding_px is 4, and both shift the "
            "images; use one of them",
        ),
        (
            {"random_resized_crop_min_area": 0.1, "zoom_fraction": 0.2},
            "train.augment: random_resized_crop_min_area is 0.1 and zoom_fraction 0.2, but random "
            "parts are shifted and zoomed already; use one of them",
        ),
        (
            {"mixup_alpha": 0.001},
            "train.augment.mixup_alpha = 0.001: must be 0 or at least 0.01",
        ),
        (
            {"random_resized_crop_min_area": 0.0},
            "train.augment.random_resized_crop_min_area = 0.0: must be greater than 0",
        ),
    ],
)
def test_settings_that_make_no_sense(augment: dict[str, Any], message: str) -> None:
    assert mistake(**augment) == message


def test_padding_must_be_smaller_than_each_side() -> None:
    TrainSettings(augment=AugmentSettings(crop_padding_px=15)).check_images(32, 16, 3)
    assert image_mistake((32, 16, 3), crop_padding_px=16) == (
        "train.augment.crop_padding_px is 16, but images are 32x16 px, and the reflected padding "
        "must be smaller than each side; use at most 15"
    )


def test_cutout_must_not_be_larger_than_a_side() -> None:
    TrainSettings(augment=AugmentSettings(cutout_px=16)).check_images(32, 16, 3)
    assert image_mistake((32, 16, 3), cutout_px=17) == (
        "train.augment.cutout_px is 17, but images are 32x16 px; use at most 16"
    )


@pytest.mark.parametrize("setting", ["hue_fraction", "saturation_fraction"])
def test_grey_images_have_no_colours(setting: str) -> None:
    TrainSettings(augment=AugmentSettings(**{setting: 0.1})).check_images(32, 32, 3)
    hue, saturation = (0.1, 0) if setting == "hue_fraction" else (0, 0.1)
    assert image_mistake((32, 32, 1), **{setting: 0.1}) == (
        f"train.augment.hue_fraction is {hue} and saturation_fraction {saturation}, but the images "
        "are grey, with 1 channel; use 0 for both, or preprocess with pixels.channels 3"
    )


@pytest.mark.parametrize(
    ("train", "needs_statistics"),
    [
        ({}, False),
        ({"normalise": "standard"}, True),
        ({"augment": {"cutout_px": 4}}, True),
        ({"augment": {"erase_probability": 0.5}}, False),
    ],
)
def test_statistics_are_needed_for_the_mean(train: dict[str, Any], needs_statistics: bool) -> None:
    config = config_from_mapping({"train": train}, "test")
    assert config.train.needs_statistics == needs_statistics


def test_a_single_row_cannot_be_mixed() -> None:
    with pytest.raises(ConfigError) as caught:
        config_from_mapping(
            {"train": {"batch_size": 2, "ranks": 2, "augment": {"mixup_alpha": 0.2}}}, "test"
        )
    assert str(caught.value).split("\n  ")[1] == (
        "train: batch_size is 2, which is 1 row for each of 2 ranks, but augment.mixup_alpha and "
        "cutmix_alpha mix the rows of a rank's batch; use a batch_size of 4 or more, or 0 for both"
    )
    config_from_mapping({"train": {"batch_size": 2, "ranks": 2}}, "test")
    config_from_mapping({"train": {"batch_size": 2, "augment": {"cutmix_alpha": 0.2}}}, "test")


@pytest.mark.parametrize(
    ("value", "size"), [(None, (40, 30)), (24, (24, 24)), ([24, 16], (24, 16))]
)
def test_input_size(value: Any, size: tuple[int, int]) -> None:
    config = config_from_mapping({"train": {"input_px": value}}, "test")
    assert config.train.input_size((40, 30, 3)) == size
    assert config.model_dump(mode="json")["train"]["input_px"] == value
    assert config_from_mapping(config.model_dump(mode="json"), "test") == config


def test_input_must_not_be_larger_than_the_images() -> None:
    settings = TrainSettings(input_px=(32, 33))
    settings.check_images(32, 33, 3)
    with pytest.raises(ConfigError) as caught:
        settings.check_images(64, 32, 3)
    assert str(caught.value) == (
        "train.input_px is 32x33, but the images of the dataset are 64x32 px; use at most their "
        "size, or preprocess to a larger one"
    )


def test_network_and_augmentation_get_images_of_the_input_size() -> None:
    application = Application(architecture="Xception")
    TrainSettings(input_px=(71,), model=application).check_images(200, 200, 3)
    with pytest.raises(ConfigError) as caught:
        TrainSettings(input_px=(70,), model=application).check_images(200, 200, 3)
    assert str(caught.value) == (
        "images of 70x70 px are too small for train.model.architecture Xception, which needs 71 "
        "px; preprocess to a larger size, or use train.model.name residual. The size is that of "
        "train.input_px"
    )
    settings = TrainSettings(input_px=(16,), augment=AugmentSettings(crop_padding_px=16))
    with pytest.raises(ConfigError, match="but images are 16x16 px, and the reflected padding"):
        settings.check_images(32, 32, 3)
