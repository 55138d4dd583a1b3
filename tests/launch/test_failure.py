from __future__ import annotations

from typing import Optional

import pytest

from halftone.errors import InputError, RunError, StoppedError
from halftone.launch import failure
from halftone.launch.failure import End, LostRankError
from halftone.launch.rank_messages import Word

KILLED = "was killed by signal 9"
FAILED = "ended with exit code 1"
HOROVOD = Word("broken", "HorovodInternalError: Horovod has been shut down", "trace")
GLOO = Word("broken", "RuntimeError: [gloo/transport/tcp/pair.cc] Connection reset", "trace")
BUG = Word("broken", "ZeroDivisionError: division by zero", "trace")
NAN = Word("run", "the loss is nan")
READY = Word("ready")


def test_all_ended_well() -> None:
    assert failure.of([End(0, "", 1.0, word=READY), End(1, "", 2.0, word=READY)]) is None


@pytest.mark.parametrize(
    ("ends", "kind", "text"),
    [
        # One is killed; the other sees its connection close, and may be seen first.
        (
            [End(0, FAILED, 1.0, word=HOROVOD), End(1, KILLED, 1.1, word=READY)],
            LostRankError,
            "rank 1 was killed by signal 9",
        ),
        ([End(0, FAILED, 1.0, word=GLOO), End(1, KILLED, 1.1)], LostRankError, f"rank 1 {KILLED}"),
        # One hangs: the others give it up, and it has to be killed.
        (
            [End(0, KILLED, 9.0, was_killed=True), End(1, FAILED, 1.0, word=HOROVOD)],
            LostRankError,
            "rank 0 did not answer any more",
        ),
        # One fails in its own way, then another for want of it.
        (
            [End(0, FAILED, 2.0, word=HOROVOD), End(1, FAILED, 1.0, word=BUG)],
            LostRankError,
            "rank 1: ZeroDivisionError: division by zero",
        ),
        # Nobody knows more than that the connection was lost.
        (
            [End(0, FAILED, 2.0, word=HOROVOD), End(1, FAILED, 1.0, word=HOROVOD)],
            LostRankError,
            "rank 1: HorovodInternalError: Horovod has been shut down",
        ),
        # One is lost before it begins, and the rest is killed.
        (
            [End(0, KILLED, 2.0, was_killed=True, word=READY), End(1, FAILED, 1.0)],
            LostRankError,
            "rank 1 ended with exit code 1",
        ),
        # What a rank says in our words counts before all else; the first that says it.
        (
            [End(0, KILLED, 1.0), End(1, FAILED, 3.0, word=NAN), End(2, FAILED, 2.0, word=NAN)],
            RunError,
            "rank 2: the loss is nan",
        ),
        (
            [End(0, FAILED, 1.0, word=Word("input", "no such interface")), End(1, KILLED, 2.0)],
            InputError,
            "rank 0: no such interface",
        ),
        # All stopped when asked; rank 0 wrote the checkpoint.
        (
            [End(0, "", 2.0, word=Word("stopped", "at 3")), End(1, "", 1.0, word=Word("stopped"))],
            StoppedError,
            "at 3",
        ),
    ],
)
def test_the_cause_is_told_and_not_what_follows(
    ends: list[End], kind: type[Exception], text: str
) -> None:
    error: Optional[Exception] = failure.of(ends)
    assert type(error) is kind
    assert str(error) == text


def test_a_lost_rank_is_known_by_its_number() -> None:
    error = failure.of([End(0, "", 1.0), End(1, KILLED, 2.0)])
    assert isinstance(error, LostRankError)
    assert error.rank == 1
