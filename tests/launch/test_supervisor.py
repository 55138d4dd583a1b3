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

SAY = "import sys, time; from halftone.launch.rank_messages import RankStatus, send\n"
READY = "send(RankStatus('ready')); sys.stdin.readline()\n"


class Script:
    """A rank that is a Python script."""

    location = "here"

    def __init__(self, code: str) -> None:
        self.process = subprocess.Popen(
            [sys.executable, "-c", SAY + code],
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


def watch(codes: Sequence[str], asked: StopRequest | None = None) -> list[str]:
    """Watch scripts to their end; return what each said."""
    logs = [io.BytesIO() for _ in codes]
    ranks = [Script(code) for code in codes]
    try:
        supervisor.monitor_ranks(ranks, logs, asked or StopRequest(), attempt=2)
    finally:
        assert all(rank.process.poll() is not None for rank in ranks)
    return [log.getvalue().decode() for log in logs]


def test_ranks_begin_together_and_what_they_say_is_kept(
    capsys: pytest.CaptureFixture[str],
) -> None:
    native = "[2026-11-21 03:10:42.878341: E operations.cc:697] [0]: of Horovod"
    first, second = watch(
        [
            f"print('0 is up')\n{READY}print('0 trains', time.time())\nprint('{native}')",
            f"time.sleep(0.5)\nprint('1 is up', time.time())\n{READY}print('1 trains')",
        ]
    )
    header = r"=== attempt 2, \d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\+00:00, here ===\n"
    began = re.fullmatch(header + r"0 is up\n0 trains (.*)\n" + re.escape(native) + "\n", first)
    was_up = re.fullmatch(header + r"1 is up (.*)\n1 trains\n", second)
    assert began is not None
    assert was_up is not None
    assert float(was_up.group(1)) < float(began.group(1))
    # People see what rank 0 says, and in its own words.
    assert capsys.readouterr().out == f"0 is up\n0 trains {began.group(1)}\n"


def test_where_a_rank_crashed_is_for_its_log(capsys: pytest.CaptureFixture[str]) -> None:
    log = io.BytesIO()
    code = "import faulthandler, os; faulthandler.enable(); print('up', flush=True); os.abort()"
    with pytest.raises(LostRankError, match=r"^rank 0 was killed by signal 6$"):
        supervisor.monitor_ranks([Script(code)], [log], StopRequest(), attempt=1)
    assert b"\nup\nFatal Python error: Aborted\n" in log.getvalue()
    assert capsys.readouterr().out == "up\n"


def test_before_all_have_begun_one_that_is_lost_ends_the_others_at_once() -> None:
    with pytest.raises(LostRankError, match=r"^rank 1 ended with exit code 3$"):
        watch([f"{READY}time.sleep(60)", "sys.exit(3)"])


def test_one_that_hangs_is_given_up_some_time_after_the_others(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(supervisor, "_CHECKPOINT_GRACE_SECS", 0.5)
    horovod = "send(RankStatus('broken', 'HorovodInternalError: shut down')); sys.exit(1)"
    with pytest.raises(LostRankError, match=r"^rank 0 did not answer any more$"):
        watch([f"{READY}time.sleep(60)", READY + horovod])


def test_one_that_never_gets_ready_is_given_up(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(supervisor, "_READY_TIMEOUT_SECS", 0.5)
    with pytest.raises(LostRankError, match=r"^rank 0 did not answer any more$"):
        watch(["time.sleep(60)"])


def test_why_a_rank_fails_is_in_its_log(capsys: pytest.CaptureFixture[str]) -> None:
    log = io.BytesIO()
    rank = Script(f"{READY}send(RankStatus('run', 'the loss is nan')); sys.exit(1)")
    with pytest.raises(RunError, match=r"^rank 0: the loss is nan$"):
        supervisor.monitor_ranks([rank], [log], StopRequest(), attempt=1)
    assert log.getvalue().endswith(b" ===\nthe loss is nan\n")
    assert capsys.readouterr().out == ""


def test_ranks_that_do_not_stop_when_asked_are_killed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(supervisor, "_STOP_TIMEOUT_SECS", 0.5)
    asked = StopRequest()
    code = f"{READY}print('trains', flush=True)\ntime.sleep(60)"
    ranks = [Script(code), Script(f"{READY}send(RankStatus('stopped', 'epoch 2'))")]
    lines = ranks[0].lines

    def lines_then_ask() -> Iterator[bytes]:
        for line in lines():
            yield line
            if line == b"trains\n":
                asked.handle_signal(15, None)

    ranks[0].lines = lines_then_ask  # type: ignore[method-assign]
    with pytest.raises(StoppedError, match=r"^epoch 2$"):
        supervisor.monitor_ranks(ranks, [io.BytesIO(), io.BytesIO()], asked, attempt=1)
    assert ranks[0].process.returncode == -9


def test_asked_before_they_begin_they_are_not_waited_for() -> None:
    asked = StopRequest()
    asked.handle_signal(15, None)
    with pytest.raises(StoppedError, match=r"^before the ranks had begun; "):
        watch(["time.sleep(60)"], asked)
