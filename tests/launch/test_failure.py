from __future__ import annotations

from typing import Optional

import pytest

from halftone.errors import InputError, RunError, StoppedError
from halftone.launch import failure
from halftone.launch.failure import LostRankError, RankExit
from halftone.launch.rank_messages import RankStatus

KILLED = "was killed by signal 9"
FAILED = "ended with exit code 1"
HOROVOD = RankStatus("broken", "HorovodInternalError: Horovod has been shut down", "trace")
GLOO = RankStatus("broken", "RuntimeError: [gloo/transport/tcp/pair.cc] Connection reset", "trace")
BUG = RankStatus("broken", "ZeroDivisionError: division by zero", "trace")
NAN = RankStatus("run", "the loss is nan")
READY = RankStatus("ready")


def test_all_ended_well() -> None:
    assert (
        failure.find_root_cause(
            [RankExit(0, "", 1.0, last_status=READY), RankExit(1, "", 2.0, last_status=READY)]
        )
        is None
    )


@pytest.mark.parametrize(
    ("ends", "kind", "text"),
    [
        # One is killed; the other sees its connection close, and may be seen first.
        (
            [
                RankExit(0, FAILED, 1.0, last_status=HOROVOD),
                RankExit(1, KILLED, 1.1, last_status=READY),
            ],
            LostRankError,
            "rank 1 was killed by signal 9",
        ),
        (
            [RankExit(0, FAILED, 1.0, last_status=GLOO), RankExit(1, KILLED, 1.1)],
            LostRankError,
            f"rank 1 {KILLED}",
        ),
        # One hangs: the others give it up, and it has to be killed.
        (
            [
                RankExit(0, KILLED, 9.0, was_killed=True),
                RankExit(1, FAILED, 1.0, last_status=HOROVOD),
            ],
            LostRankError,
            "rank 0 did not answer any more",
        ),
        # One fails in its own way, then another for want of it.
        (
            [
                RankExit(0, FAILED, 2.0, last_status=HOROVOD),
                RankExit(1, FAILED, 1.0, last_status=BUG),
            ],
            LostRankError,
            "rank 1: ZeroDivisionError: division by zero",
        ),
        # Nobody knows more than that the connection was lost.
        (
            [
                RankExit(0, FAILED, 2.0, last_status=HOROVOD),
                RankExit(1, FAILED, 1.0, last_status=HOROVOD),
            ],
            LostRankError,
            "rank 1: HorovodInternalError: Horovod has been shut down",
        ),
        # One is lost before it begins, and the rest is killed.
        (
            [
                RankExit(0, KILLED, 2.0, was_killed=True, last_status=READY),
                RankExit(1, FAILED, 1.0),
            ],
            LostRankError,
            "rank 1 ended with exit code 1",
        ),
        # What a rank says in our words counts before all else; the first that says it.
        (
            [
                RankExit(0, KILLED, 1.0),
                RankExit(1, FAILED, 3.0, last_status=NAN),
                RankExit(2, FAILED, 2.0, last_status=NAN),
            ],
            RunError,
            "rank 2: the loss is nan",
        ),
        (
            [
                RankExit(0, FAILED, 1.0, last_status=RankStatus("input", "no such interface")),
                RankExit(1, KILLED, 2.0),
            ],
            InputError,
            "rank 0: no such interface",
        ),
        # All stopped when asked; rank 0 wrote the checkpoint.
        (
            [
                RankExit(0, "", 2.0, last_status=RankStatus("stopped", "at 3")),
                RankExit(1, "", 1.0, last_status=RankStatus("stopped")),
            ],
            StoppedError,
            "at 3",
        ),
    ],
)
def test_the_cause_is_told_and_not_what_follows(
    ends: list[RankExit], kind: type[Exception], text: str
) -> None:
    error: Optional[Exception] = failure.find_root_cause(ends)
    assert type(error) is kind
    assert str(error) == text


def test_a_lost_rank_is_known_by_its_number() -> None:
    error = failure.find_root_cause([RankExit(0, "", 1.0), RankExit(1, KILLED, 2.0)])
    assert isinstance(error, LostRankError)
    assert error.rank == 1
