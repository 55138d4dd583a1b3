from __future__ import annotations

import pytest

from halftone.config import suggest_setting


@pytest.mark.parametrize(
    ("flag", "suggestion"),
    [
        ("--epochs", "--set train.epochs=3"),
        ("--epoch", "--set train.epochs=3"),
        ("--learning-rate=0.5", "--set train.learning_rate=0.5"),
        ("--train.epochs", "--set train.epochs=3"),
        ("--batch-size", "--set train.batch_size=3 or --set score.batch_size=3"),
        ("--seed", "--set seed=3"),
        ("--verbose", None),
        ("--output", None),
        ("-x", None),
    ],
)
def test_flag_that_is_a_setting(flag: str, suggestion: str | None) -> None:
    assert suggest_setting(flag, "3") == suggestion


def test_flag_without_a_value() -> None:
    assert suggest_setting("--ranks") == "--set train.ranks=VALUE"
