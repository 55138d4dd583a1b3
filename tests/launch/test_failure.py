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


def test_clean_exits_have_no_root_cause() -> None:
    assert (
        failure.find_root_cause(
            [RankExit(0, "", 1.0, last_status=READY), RankExit(1, "", 2.0, last_status=READY)]
        )
        is None
    )


@pytest.mark.parametrize(
    ("exits", "error_type", "text"),
    [
        # Rank 1 is killed; rank 0 loses the connection and may be observed first.
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
        # Rank 0 hangs: rank 1 times out, and the supervisor kills rank 0.
        (
            [
                RankExit(0, KILLED, 9.0, was_killed=True),
                RankExit(1, FAILED, 1.0, last_status=HOROVOD),
            ],
            LostRankError,
            "rank 0 stopped responding",
        ),
        # Rank 1 fails by a bug, then rank 0 because rank 1 is missing.
        (
            [
                RankExit(0, FAILED, 2.0, last_status=HOROVOD),
                RankExit(1, FAILED, 1.0, last_status=BUG),
            ],
            LostRankError,
            "rank 1: ZeroDivisionError: division by zero",
        ),
        # Both know only that the connection was lost: the first observed failure counts.
        (
            [
                RankExit(0, FAILED, 2.0, last_status=HOROVOD),
                RankExit(1, FAILED, 1.0, last_status=HOROVOD),
            ],
            LostRankError,
            "rank 1: HorovodInternalError: Horovod has been shut down",
        ),
        # Rank 1 is lost before it trains, and the supervisor kills rank 0.
        (
            [
                RankExit(0, KILLED, 2.0, was_killed=True, last_status=READY),
                RankExit(1, FAILED, 1.0),
            ],
            LostRankError,
            "rank 1 ended with exit code 1",
        ),
        # A reported run error goes before lost ranks; the first one reported counts.
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
        # All ranks stopped on request; rank 0 wrote the checkpoint.
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
def test_root_cause_is_found(exits: list[RankExit], error_type: type[Exception], text: str) -> None:
    error: Optional[Exception] = failure.find_root_cause(exits)
    assert type(error) is error_type
    assert str(error) == text


def test_lost_rank_error_holds_the_rank() -> None:
    error = failure.find_root_cause([RankExit(0, "", 1.0), RankExit(1, KILLED, 2.0)])
    assert isinstance(error, LostRankError)
    assert error.rank == 1
