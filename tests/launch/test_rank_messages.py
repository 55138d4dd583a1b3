from __future__ import annotations

import pytest

from halftone.errors import InputError, RunError, StoppedError
from halftone.launch import rank_messages
from halftone.launch.rank_messages import RankStatus


@pytest.mark.parametrize(
    ("error", "status"),
    [
        (StoppedError("at epoch 3"), RankStatus("stopped", "at epoch 3")),
        (InputError("no images"), RankStatus("input", "no images")),
        (RunError("the loss is nan"), RankStatus("run", "the loss is nan")),
    ],
)
def test_halftone_errors_keep_their_category_and_message(
    error: Exception, status: RankStatus
) -> None:
    assert rank_messages.status_from_error(error) == status


def test_unexpected_error_keeps_its_traceback() -> None:
    try:
        raise ZeroDivisionError("division by zero")
    except ZeroDivisionError as error:
        status = rank_messages.status_from_error(error)
    assert (status.kind, status.text) == ("broken", "ZeroDivisionError: division by zero")
    assert status.trace.startswith("Traceback (most recent call last):\n")
    assert status.trace.endswith("\nZeroDivisionError: division by zero\n")


def test_sent_message_is_parsed_from_one_line(capfd: pytest.CaptureFixture[str]) -> None:
    print("half a line, ", end="")
    rank_messages.send(RankStatus("run", "two\nlines", "trace"))
    line = capfd.readouterr().out
    assert line.count("\n") == 1
    assert rank_messages.parse_line(line) == (
        "half a line, ",
        RankStatus("run", "two\nlines", "trace"),
    )


@pytest.mark.parametrize("line", ["epoch 1/4: loss 0.7\n", "", "\x1e{torn", '\x1e{"no": "kind"}\n'])
def test_line_without_a_message_is_returned_whole(line: str) -> None:
    assert rank_messages.parse_line(line) == (line, None)
