from __future__ import annotations

import io
import re
import subprocess
import sys
from collections.abc import Iterator, Sequence

import pytest

from halftone.errors import RunError, StoppedError
from halftone.launch import supervisor
from halftone.launch.failure import LostRankError
from halftone.launch.signals import StopRequest
from halftone.system import exit_status

PREAMBLE = "import sys, time; from halftone.launch.rank_messages import RankStatus, send\n"
READY = "send(RankStatus('ready')); sys.stdin.readline()\n"


class ScriptRank:
    """A rank that is a Python script."""

    location = "here"

    def __init__(self, code: str) -> None:
        self.process = subprocess.Popen(
            [sys.executable, "-c", PREAMBLE + code],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
        )

    def read_lines(self) -> Iterator[bytes]:
        assert self.process.stdout is not None
        yield from self.process.stdout

    def start_training(self) -> None:
        assert self.process.stdin is not None
        self.process.stdin.write(b"begin\n")
        self.process.stdin.flush()

    def describe_exit(self) -> str:
        return exit_status.describe_exit(self.process.wait())

    def kill(self) -> None:
        self.process.kill()


def monitor(codes: Sequence[str], stop_request: StopRequest | None = None) -> list[str]:
    """Monitor scripts to their end; return the log of each."""
    logs = [io.BytesIO() for _ in codes]
    ranks = [ScriptRank(code) for code in codes]
    try:
        supervisor.monitor_ranks(ranks, logs, stop_request or StopRequest(), attempt=2)
    finally:
        assert all(rank.process.poll() is not None for rank in ranks)
    return [log.getvalue().decode() for log in logs]


def test_ranks_start_together_and_their_output_is_logged(
    capsys: pytest.CaptureFixture[str],
) -> None:
    native = "[2026-11-21 03:10:42.878341: E operations.cc:697] [0]: of Horovod"
    first, second = monitor(
        [
            f"print('0 is up')\n{READY}print('0 trains', time.time())\nprint('{native}')",
            f"time.sleep(0.5)\nprint('1 is up', time.time())\n{READY}print('1 trains')",
        ]
    )
    time = r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d\d\dZ"
    first_log = re.fullmatch(
        rf"=== attempt 2, rank 0, {time}, here ===\n{time} rank 0: 0 is up\n"
        rf"{time} rank 0: 0 trains (.*)\n{time} rank 0: {re.escape(native)}\n",
        first,
    )
    second_log = re.fullmatch(
        rf"=== attempt 2, rank 1, {time}, here ===\n{time} rank 1: 1 is up (.*)\n"
        rf"{time} rank 1: 1 trains\n",
        second,
    )
    assert first_log is not None
    assert second_log is not None
    assert float(second_log.group(1)) < float(first_log.group(1))
    # Standard output gets the output of rank 0, without native log lines.
    assert capsys.readouterr().out == f"0 is up\n0 trains {first_log.group(1)}\n"


def test_crash_report_is_only_logged(capsys: pytest.CaptureFixture[str]) -> None:
    log = io.BytesIO()
    code = "import faulthandler, os; faulthandler.enable(); print('up', flush=True); os.abort()"
    with pytest.raises(LostRankError, match=r"^rank 0 was killed by signal 6$"):
        supervisor.monitor_ranks([ScriptRank(code)], [log], StopRequest(), attempt=1)
    assert re.search(rb"rank 0: up\n.* rank 0: Fatal Python error: Aborted\n", log.getvalue())
    assert capsys.readouterr().out == "up\n"


def test_rank_lost_before_training_ends_the_others_at_once() -> None:
    with pytest.raises(LostRankError, match=r"^rank 1 ended with exit code 3$"):
        monitor([f"{READY}time.sleep(60)", "sys.exit(3)"])


def test_hanging_rank_is_killed_some_time_after_the_others_end(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(supervisor, "_CHECKPOINT_GRACE_SECS", 0.5)
    horovod = "send(RankStatus('broken', 'HorovodInternalError: shut down')); sys.exit(1)"
    with pytest.raises(LostRankError, match=r"^rank 0 stopped responding$"):
        monitor([f"{READY}time.sleep(60)", READY + horovod])


def test_rank_that_is_never_ready_is_killed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(supervisor, "_READY_TIMEOUT_SECS", 0.5)
    with pytest.raises(LostRankError, match=r"^rank 0 stopped responding$"):
        monitor(["time.sleep(60)"])


def test_run_error_is_logged(capsys: pytest.CaptureFixture[str]) -> None:
    log = io.BytesIO()
    rank = ScriptRank(f"{READY}send(RankStatus('run', 'the loss is nan')); sys.exit(1)")
    with pytest.raises(RunError, match=r"^rank 0: the loss is nan$"):
        supervisor.monitor_ranks([rank], [log], StopRequest(), attempt=1)
    assert log.getvalue().endswith(b"Z rank 0: the loss is nan\n")
    assert capsys.readouterr().out == ""


def test_ranks_that_ignore_a_stop_request_are_killed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(supervisor, "_STOP_TIMEOUT_SECS", 0.5)
    stop_request = StopRequest()
    code = f"{READY}print('trains', flush=True)\ntime.sleep(60)"
    ranks = [ScriptRank(code), ScriptRank(f"{READY}send(RankStatus('stopped', 'epoch 2'))")]
    read_lines = ranks[0].read_lines

    def read_lines_then_stop() -> Iterator[bytes]:
        for line in read_lines():
            yield line
            if line == b"trains\n":
                stop_request.handle_signal(15, None)

    ranks[0].read_lines = read_lines_then_stop  # type: ignore[method-assign]
    with pytest.raises(StoppedError, match=r"^epoch 2$"):
        supervisor.monitor_ranks(ranks, [io.BytesIO(), io.BytesIO()], stop_request, attempt=1)
    assert ranks[0].process.returncode == -9


def test_stop_request_before_training_does_not_wait() -> None:
    stop_request = StopRequest()
    stop_request.handle_signal(15, None)
    with pytest.raises(StoppedError, match=r"^before training started; "):
        monitor(["time.sleep(60)"], stop_request)
