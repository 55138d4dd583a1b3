"""Monitor the ranks of an attempt: log their output, and kill them all when one is lost."""

from __future__ import annotations

import math
import re
import threading
import time
from collections.abc import Iterator, Sequence
from contextlib import suppress
from typing import IO, Optional, Protocol

from halftone.launch import failure, rank_messages
from halftone.launch.failure import RankExit
from halftone.launch.rank_messages import READY, RankStatus
from halftone.launch.signals import StopRequest
from halftone.logs import rank_lines, relog
from halftone.logs.record_lines import parse_record_line

_POLL_INTERVAL_SECS = 0.1
# A rank may have to load TensorFlow's files over a slow network.
_READY_TIMEOUT_SECS = 600.0
# When a rank is lost the others notice and end by themselves; rank 0 may be writing a checkpoint.
_GRACE_SECS = 2.0
_CHECKPOINT_GRACE_SECS = 20.0
_STOP_TIMEOUT_SECS = 30.0
# Log lines of TensorFlow's and Horovod's C++ code, as `[2026-11-21 03:10:42.878341: E ...`.
_NATIVE_LOG_LINE = re.compile(r"^\[?\d{4}-\d\d-\d\d \S+: [IWEF] ")
# A line with one of these prefixes is the first of a crash report.
_CRASH_PREFIXES = ("terminate called ", "Fatal Python error: ")


class Rank(Protocol):
    """A rank that was started somewhere."""

    location: str  # where it runs

    def read_lines(self) -> Iterator[bytes]:
        """Yield the lines of its output until it has ended."""

    def start_training(self) -> None:
        """Let it connect to the others and train."""

    def describe_exit(self) -> str:
        """Describe how it ended, such as `was killed by signal 9`; empty for a clean exit.

        Call it after the last line was read.
        """

    def kill(self) -> None:
        """Kill it if it still runs."""


def monitor_ranks(
    ranks: Sequence[Rank], logs: Sequence[IO[bytes]], stop_request: StopRequest, attempt: int
) -> None:
    """Monitor the ranks until all have succeeded. No rank is left running in any case.

    Args:
        logs: the log file of each rank.
        attempt: number of the attempt from 1, for the logs.

    Raises:
        StoppedError: the ranks were asked to stop, and did.
        InputError: a rank reported an input error.
        RunError: a rank reported a run error.
        LostRankError: a rank ended without such a report.
    """
    monitored = []
    for number, (rank, log) in enumerate(zip(ranks, logs)):
        log.write(rank_lines.format_attempt(number, attempt, rank.location).encode())
        monitored.append(_MonitoredRank(number, rank, log))
    try:
        _wait_for_exits(monitored, stop_request)
    finally:
        for monitored_rank in monitored:
            monitored_rank.kill()
        for monitored_rank in monitored:
            monitored_rank.reader_thread.join(_STOP_TIMEOUT_SECS)
    exits = [item.exit for item in monitored if item.exit is not None]
    error = failure.find_root_cause(exits)
    if error is not None:
        raise error


def _wait_for_exits(monitored: Sequence[_MonitoredRank], stop_request: StopRequest) -> None:
    """Wait until all ranks have ended; kill those that do not end in time."""
    first = monitored[0]
    has_started = False
    kill_at = time.monotonic() + _READY_TIMEOUT_SECS
    while any(item.exit is None for item in monitored):
        time.sleep(_POLL_INTERVAL_SECS)
        if not has_started:
            stop_request.raise_if_received()
        if not has_started and all(item.status == RankStatus(READY) for item in monitored):
            for item in monitored:
                item.rank.start_training()
            has_started, kill_at = True, math.inf
        now = time.monotonic()
        if any(item.exit is not None and item.exit.failure for item in monitored):
            grace_secs = _GRACE_SECS if first.exit else _CHECKPOINT_GRACE_SECS
            kill_at = min(kill_at, now + (grace_secs if has_started else 0))
        if stop_request.is_received():
            kill_at = min(kill_at, now + _STOP_TIMEOUT_SECS)
        if now >= kill_at:
            for item in monitored:
                item.kill()


class _MonitoredRank:
    """A rank with its last message and its exit, read by a thread of its own."""

    def __init__(self, number: int, rank: Rank, log: IO[bytes]) -> None:
        self.rank = rank
        self.status: Optional[RankStatus] = None  # the last message
        self.exit: Optional[RankExit] = None
        self._number, self._log = number, log
        self._was_killed = False
        self._is_crashing = False
        self.reader_thread = threading.Thread(target=self._read_output, daemon=True)
        self.reader_thread.start()

    def kill(self) -> None:
        if self.exit is None:
            self._was_killed = True
            self.rank.kill()

    def _read_output(self) -> None:
        for line in self.rank.read_lines():
            self._handle_line(line.decode("utf-8", "replace"))
        timestamp_secs = time.monotonic()
        description = self.rank.describe_exit()
        self.exit = RankExit(
            self._number, description, timestamp_secs, self._was_killed, self.status
        )

    def _handle_line(self, line: str) -> None:
        text, status = rank_messages.parse_line(line)
        if status is not None:
            self.status = status
            text += f"{status.trace or status.text}\n" if status.text else ""
        record = parse_record_line(text)
        # A full disk or a closed standard output must not end this thread.
        with suppress(OSError):
            self._log.write(rank_lines.format_lines(self._number, text, record).encode())
        if record is not None:
            if self._number == 0:
                relog(record)
            return
        self._is_crashing = self._is_crashing or text.startswith(_CRASH_PREFIXES)
        is_log_only = (
            status is not None or self._is_crashing or _NATIVE_LOG_LINE.match(text) is not None
        )
        if self._number == 0 and not is_log_only:
            with suppress(OSError):
                print(text, end="", flush=True)
