from __future__ import annotations

import pytest

from halftone.errors import InputError, RunError, StoppedError
from halftone.launch import rank_messages
from halftone.launch.rank_messages import RankStatus


@pytest.mark.parametrize(
    ("error", "word"),
    [
        (StoppedError("at epoch 3"), RankStatus("stopped", "at epoch 3")),
        (InputError("no images"), RankStatus("input", "no images")),
        (RunError("the loss is nan"), RankStatus("run", "the loss is nan")),
    ],
)
def test_our_own_errors_are_said_in_their_words(error: Exception, word: RankStatus) -> None:
    assert rank_messages.status_from_error(error) == word


def test_another_error_keeps_its_traceback() -> None:
    try:
        raise ZeroDivisionError("division by zero")
    except ZeroDivisionError as error:
        word = rank_messages.status_from_error(error)
    assert (word.kind, word.text) == ("broken", "ZeroDivisionError: division by zero")
    assert word.trace.startswith("Traceback (most recent call last):\n")
    assert word.trace.endswith("\nZeroDivisionError: division by zero\n")


def test_what_is_said_is_understood(capfd: pytest.CaptureFixture[str]) -> None:
    print("half a line, ", end="")
    rank_messages.send(RankStatus("run", "two\nlines", "trace"))
    said = capfd.readouterr().out
    assert said.count("\n") == 1
    assert rank_messages.parse_line(said) == (
        "half a line, ",
        RankStatus("run", "two\nlines", "trace"),
    )


@pytest.mark.parametrize("line", ["epoch 1/4: loss 0.7\n", "", "\x1e{torn", '\x1e{"no": "kind"}\n'])
def test_all_else_is_for_people(line: str) -> None:
    assert rank_messages.parse_line(line) == (line, None)
