"""Settings of augmentation that are refused."""

from __future__ import annotations

from typing import Any

import pytest

from halftone.config import AugmentSettings, ConfigError, TrainSettings, config_from_mapping


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
