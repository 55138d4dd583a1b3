from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from halftone import model_directory
from halftone.errors import InputError, RunError, StoppedError
from halftone.launch import restarts
from halftone.launch.rank_messages import RankStatus
from halftone.launch.restarts import StartRanks
from halftone.launch.signals import StopRequest
from halftone.model_directory import Restart

KILLED = "was killed by signal 9"
READY = RankStatus("ready")


class Ended:
    """A rank that says what it is given, and ends."""

    location = "here"

    def __init__(self, how: str, word: RankStatus) -> None:
        self._how, self._word = how, word

    def read_lines(self) -> Iterator[bytes]:
        yield f"\x1e{json.dumps(self._word._asdict())}\n".encode()

    def start_training(self) -> None: ...

    def describe_exit(self) -> str:
        return self._how

    def kill(self) -> None: ...


def starts(hows: list[str], output: Path, word: RankStatus = READY) -> StartRanks:
    """Two ranks; the second ends as `hows` says, attempt by attempt, an epoch after the other."""
    left = iter(enumerate(hows, start=1))

    @contextmanager
    def start(_: StopRequest) -> Iterator[list[Ended]]:
        epoch, how = next(left)
        try:
            yield [Ended("", READY), Ended(how, word)]
        finally:
            (output / "checkpoints").mkdir(parents=True, exist_ok=True)
            (output / "checkpoints" / f"epoch-{epoch:04d}.npz").touch()

    return start


def run(start: StartRanks, output: Path, max_restarts: int = 2) -> None:
    restarts.run_with_restarts(start, str(output), 2, max_restarts, StopRequest())


def test_lost_ranks_are_started_again(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "restarts.json").write_text('[{"epoch": 9, "message": "of another training"}]')
    run(starts([KILLED, "was lost with its Spark task", ""], tmp_path), tmp_path)
    assert model_directory.read_restarts(str(tmp_path)) == [
        Restart(epoch=1, message="rank 1 was killed by signal 9"),
        Restart(epoch=2, message="rank 1 was lost with its Spark task"),
    ]
    assert capsys.readouterr().out == (
        "restarting (1 of 2) after epoch 1: rank 1 was killed by signal 9\n"
        "restarting (2 of 2) after epoch 2: rank 1 was lost with its Spark task\n"
    )
    assert (tmp_path / "logs" / "rank-1.log").read_text().count("=== attempt ") == 3


def test_a_call_that_goes_on_keeps_the_restarts_before(tmp_path: Path) -> None:
    with pytest.raises(RunError):
        run(starts([KILLED, KILLED], tmp_path), tmp_path, max_restarts=1)
    run(starts([KILLED, ""], tmp_path), tmp_path, max_restarts=1)
    assert [made.epoch for made in model_directory.read_restarts(str(tmp_path))] == [1, 2]


@pytest.mark.parametrize(("max_restarts", "place"), [(0, "after epoch 1"), (2, "after epoch 3")])
def test_not_more_often_than_is_set(tmp_path: Path, max_restarts: int, place: str) -> None:
    with pytest.raises(RunError) as caught:
        run(starts([KILLED] * 4, tmp_path), tmp_path, max_restarts)
    assert str(caught.value) == (
        f"rank 1 was killed by signal 9, and train.max_restarts is {max_restarts}; run the same "
        f"command again to go on {place}. Its log is {tmp_path}/logs/rank-1.log"
    )
    assert len(model_directory.read_restarts(str(tmp_path))) == max_restarts


@pytest.mark.parametrize(
    ("word", "kind", "text"),
    [
        (RankStatus("input", "no such interface"), InputError, "rank 1: no such interface"),
        (RankStatus("run", "the loss is nan"), RunError, "rank 1: the loss is nan"),
        (RankStatus("stopped", "the checkpoint is there"), StoppedError, "the checkpoint is there"),
    ],
)
def test_what_a_rank_says_why_is_not_tried_again(
    tmp_path: Path, word: RankStatus, kind: type[Exception], text: str
) -> None:
    with pytest.raises(kind) as caught:
        run(starts(["ended with exit code 1"], tmp_path, word), tmp_path)
    assert str(caught.value) == text
    assert model_directory.read_restarts(str(tmp_path)) == []


def test_ranks_that_are_lost_on_request_are_not_started_again(tmp_path: Path) -> None:
    asked = StopRequest()

    @contextmanager
    def start(_: StopRequest) -> Iterator[list[Ended]]:
        try:
            yield [Ended(KILLED, READY)]
        finally:
            asked.handle_signal(15, None)

    with pytest.raises(StoppedError) as caught:
        restarts.run_with_restarts(start, str(tmp_path), 1, 2, asked)
    assert str(caught.value) == (
        "not in good order, rank 0 was killed by signal 9; run the same command again to go on "
        "from the start"
    )
