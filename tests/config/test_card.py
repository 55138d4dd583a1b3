from __future__ import annotations

from halftone.config import CardSettings


def test_the_licence_of_the_images_is_that_of_the_model_unless_it_is_given() -> None:
    assert CardSettings().licence_of_data is None
    assert CardSettings(licence="mit").licence_of_data == "mit"
    assert CardSettings(licence="mit", data_licence="cc0-1.0").licence_of_data == "cc0-1.0"


def test_texts_that_are_missing_are_those_of_the_training() -> None:
    now, then = CardSettings(licence="mit"), CardSettings(licence="old", contact="Ann")
    assert now.completed_by(then) == CardSettings(licence="mit", contact="Ann")
    assert CardSettings().completed_by(then) == then
