from __future__ import annotations

import argparse

import pytest

from halftone import logs
from halftone.errors import InputError
from halftone.logs import options
from halftone.logs.options import LogOptions


def parse(*arguments: str) -> argparse.Namespace:
    parser = argparse.ArgumentParser()
    logs.add_arguments(parser)
    return parser.parse_args(arguments)


@pytest.mark.parametrize(
    ("arguments", "environment", "expected"),
    [
        ([], {}, ("info", "text")),
        ([], {"HALFTONE_LOG_LEVEL": "warning", "HALFTONE_LOG_FORMAT": "json"}, ("warning", "json")),
        (["--log-level", "debug"], {"HALFTONE_LOG_LEVEL": "error"}, ("debug", "text")),
        (["--log-format=json"], {"HALFTONE_LOG_FORMAT": ""}, ("info", "json")),
    ],
)
def test_flags_go_before_the_environment(
    arguments: list[str], environment: dict[str, str], expected: tuple[str, str]
) -> None:
    assert options.read_options(parse(*arguments), environment) == LogOptions(*expected)
    assert options.guess_options(["train.py", *arguments], environment) == LogOptions(*expected)


def test_a_wrong_variable_is_named() -> None:
    environment = {"HALFTONE_LOG_LEVEL": "loud"}
    with pytest.raises(InputError) as caught:
        options.read_options(parse(), environment)
    assert str(caught.value) == (
        "HALFTONE_LOG_LEVEL is loud, which is not one of debug, info, warning, error"
    )
    # Before the flags are parsed nobody could report it.
    assert options.guess_options([], environment) == LogOptions("info", "text")


@pytest.mark.parametrize(
    ("argv", "job"),
    [
        (["jobs/train.py", "--config", "f"], "train"),
        (["/usr/bin/halftone", "score", "--config", "f"], "score"),
        (["/lib/halftone/__main__.py", "--log-format", "json", "retrain"], "retrain"),
        (["halftone", "--help"], ""),
        ([], ""),
    ],
)
def test_the_job_is_that_of_the_command_line(argv: list[str], job: str) -> None:
    assert options.guess_job(argv) == job
