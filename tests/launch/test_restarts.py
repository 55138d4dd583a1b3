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


class FakeRank:
    """A rank that sends one message and ends."""

    location = "here"

    def __init__(self, exit_description: str, status: RankStatus) -> None:
        self._exit_description, self._status = exit_description, status

    def read_lines(self) -> Iterator[bytes]:
        yield f"\x1e{json.dumps(self._status._asdict())}\n".encode()

    def start_training(self) -> None: ...

    def describe_exit(self) -> str:
        return self._exit_description

    def kill(self) -> None: ...


def starter(exit_descriptions: list[str], output: Path, status: RankStatus = READY) -> StartRanks:
    """Start two ranks; rank 1 ends with the next description, one epoch later in each attempt."""
    attempts = iter(enumerate(exit_descriptions, start=1))

    @contextmanager
    def start(_: StopRequest) -> Iterator[list[FakeRank]]:
        epoch, exit_description = next(attempts)
        try:
            yield [FakeRank("", READY), FakeRank(exit_description, status)]
        finally:
            (output / "checkpoints").mkdir(parents=True, exist_ok=True)
            (output / "checkpoints" / f"epoch-{epoch:04d}.npz").touch()

    return start


def run(start_ranks: StartRanks, output: Path, max_restarts: int = 2) -> None:
    restarts.run_with_restarts(start_ranks, str(output), 2, max_restarts, StopRequest())


def test_lost_ranks_are_restarted(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "restarts.json").write_text('[{"epoch": 9, "message": "of an earlier training"}]')
    run(starter([KILLED, "was lost with its Spark task", ""], tmp_path), tmp_path)
    assert model_directory.read_restarts(str(tmp_path)) == [
        Restart(epoch=1, message="rank 1 was killed by signal 9"),
        Restart(epoch=2, message="rank 1 was lost with its Spark task"),
    ]
    assert capsys.readouterr().err == (
        "restarting (1 of 2) after epoch 1: rank 1 was killed by signal 9\n"
        "restarting (2 of 2) after epoch 2: rank 1 was lost with its Spark task\n"
    )
    assert (tmp_path / "logs" / "rank-1.log").read_text().count("=== attempt ") == 3


def test_resumed_training_keeps_its_earlier_restarts(tmp_path: Path) -> None:
    with pytest.raises(RunError):
        run(starter([KILLED, KILLED], tmp_path), tmp_path, max_restarts=1)
    run(starter([KILLED, ""], tmp_path), tmp_path, max_restarts=1)
    assert [restart.epoch for restart in model_directory.read_restarts(str(tmp_path))] == [1, 2]


@pytest.mark.parametrize(("max_restarts", "position"), [(0, "after epoch 1"), (2, "after epoch 3")])
def test_max_restarts_limits_the_restarts(tmp_path: Path, max_restarts: int, position: str) -> None:
    with pytest.raises(RunError) as caught:
        run(starter([KILLED] * 4, tmp_path), tmp_path, max_restarts)
    assert str(caught.value) == (
        f"rank 1 was killed by signal 9, and train.max_restarts is {max_restarts}; run the same "
        f"command again to go on {position}. Its log is {tmp_path}/logs/rank-1.log"
    )
    assert len(model_directory.read_restarts(str(tmp_path))) == max_restarts


@pytest.mark.parametrize(
    ("status", "error_type", "text"),
    [
        (RankStatus("input", "no such interface"), InputError, "rank 1: no such interface"),
        (RankStatus("run", "the loss is nan"), RunError, "rank 1: the loss is nan"),
        (RankStatus("stopped", "the checkpoint is there"), StoppedError, "the checkpoint is there"),
    ],
)
def test_reported_errors_are_not_restarted(
    tmp_path: Path, status: RankStatus, error_type: type[Exception], text: str
) -> None:
    with pytest.raises(error_type) as caught:
        run(starter(["ended with exit code 1"], tmp_path, status), tmp_path)
    assert str(caught.value) == text
    assert model_directory.read_restarts(str(tmp_path)) == []


def test_ranks_lost_after_a_stop_request_are_not_restarted(tmp_path: Path) -> None:
    stop_request = StopRequest()

    @contextmanager
    def start(_: StopRequest) -> Iterator[list[FakeRank]]:
        try:
            yield [FakeRank(KILLED, READY)]
        finally:
            stop_request.handle_signal(15, None)

    with pytest.raises(StoppedError) as caught:
        restarts.run_with_restarts(start, str(tmp_path), 1, 2, stop_request)
    assert str(caught.value) == (
        "before a checkpoint was written: rank 0 was killed by signal 9; run the same command "
        "again to go on from the start"
    )


def test_an_exception_of_each_try_is_no_reason_for_another(tmp_path: Path) -> None:
    status = RankStatus("broken", "TypeError: build() takes no arguments", "the traceback")
    with pytest.raises(RunError) as caught:
        run(starter(["exited with code 1"] * 3, tmp_path, status), tmp_path)
    assert str(caught.value) == (
        "rank 1: TypeError: build() takes no arguments, and train.max_restarts is 2; the try "
        "before ended in the same way, so correct the cause. Its log is "
        f"{tmp_path}/logs/rank-1.log"
    )
