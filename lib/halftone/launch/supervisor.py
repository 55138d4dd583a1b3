"""Watch the ranks of an attempt: keep what they say, and end them all when one is lost."""

from __future__ import annotations

import math
import re
import threading
import time
from collections.abc import Iterator, Sequence
from contextlib import suppress
from datetime import datetime, timezone
from typing import IO, Optional, Protocol

from halftone.launch import failure, rank_messages
from halftone.launch.failure import RankExit
from halftone.launch.rank_messages import READY, RankStatus
from halftone.launch.signals import StopRequest

_POLL_INTERVAL_SECS = 0.1
# TensorFlow's files may have to come over a slow network.
_READY_TIMEOUT_SECS = 600.0
# When one is lost the others see it, and end by themselves; rank 0 may be at a checkpoint.
_GRACE_SECS = 2.0
_CHECKPOINT_GRACE_SECS = 20.0
_STOP_TIMEOUT_SECS = 30.0
# What TensorFlow's and Horovod's own code says, as `[2026-11-21 03:10:42.878341: E ...`: for logs.
_NATIVE_LOG_LINE = re.compile(r"^\[?\d{4}-\d\d-\d\d \S+: [IWEF] ")
# From such a line on a rank that crashes says where it was.
_CRASH_PREFIXES = ("terminate called ", "Fatal Python error: ")


class Rank(Protocol):
    """A rank that was started somewhere."""

    location: str  # where it runs

    def read_lines(self) -> Iterator[bytes]:
        """What it says, until it has ended."""

    def start_training(self) -> None:
        """Let it meet the others and train."""

    def describe_exit(self) -> str:
        """After its last line: how it ended, such as `was killed by signal 9`; empty if well."""

    def kill(self) -> None:
        """End it at once, if it still runs."""


def monitor_ranks(
    ranks: Sequence[Rank], logs: Sequence[IO[bytes]], stop_request: StopRequest, attempt: int
) -> None:
    """Return when all ranks have ended well; none runs any more in any case.

    Args:
        logs: for each rank, what all that it says is written to.
        attempt: from 1, for the logs.

    Raises:
        StoppedError: they were asked to end, and did.
        InputError, RunError: a rank said why it could not go on.
        LostRankError: a rank ended without such a word.
    """
    now = datetime.now(timezone.utc).isoformat(timespec="seconds")
    watched = []
    for number, (rank, log) in enumerate(zip(ranks, logs)):
        log.write(f"=== attempt {attempt}, {now}, {rank.location} ===\n".encode())
        watched.append(_MonitoredRank(number, rank, log))
    try:
        _wait_for_exits(watched, stop_request)
    finally:
        for one in watched:
            one.kill()
        for one in watched:
            one.reader_thread.join(_STOP_TIMEOUT_SECS)
    error = failure.find_root_cause([one.exit for one in watched if one.exit is not None])
    if error is not None:
        raise error


def _wait_for_exits(monitored: Sequence[_MonitoredRank], stop_request: StopRequest) -> None:
    """Return when all have ended; those that do not when they should are killed."""
    first = monitored[0]
    has_begun = False
    kill_at = time.monotonic() + _READY_TIMEOUT_SECS
    while any(one.exit is None for one in monitored):
        time.sleep(_POLL_INTERVAL_SECS)
        if not has_begun:
            stop_request.raise_if_received()
        if not has_begun and all(one.status == RankStatus(READY) for one in monitored):
            for one in monitored:
                one.rank.start_training()
            has_begun, kill_at = True, math.inf
        now = time.monotonic()
        if any(one.exit is not None and one.exit.failure for one in monitored):
            grace_secs = _GRACE_SECS if first.exit else _CHECKPOINT_GRACE_SECS
            kill_at = min(kill_at, now + (grace_secs if has_begun else 0))
        if stop_request.is_received():
            kill_at = min(kill_at, now + _STOP_TIMEOUT_SECS)
        if now >= kill_at:
            for one in monitored:
                one.kill()


class _MonitoredRank:
    """A rank, and what it said."""

    def __init__(self, number: int, rank: Rank, log: IO[bytes]) -> None:
        self.rank = rank
        self.status: Optional[RankStatus] = None  # the last
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
        at_secs = time.monotonic()
        how = self.rank.describe_exit()
        self.exit = RankExit(self._number, how, at_secs, self._was_killed, self.status)

    def _handle_line(self, line: str) -> None:
        text, word = rank_messages.parse_line(line)
        if word is not None:
            self.status = word
            text += f"{word.trace or word.text}\n" if word.text else ""
        # A full disk, or a reader who is gone, must not end the listening.
        with suppress(OSError):
            self._log.write(text.encode())
        self._is_crashing = self._is_crashing or text.startswith(_CRASH_PREFIXES)
        is_for_people = word is None and not self._is_crashing and not _NATIVE_LOG_LINE.match(text)
        if self._number == 0 and is_for_people:
            with suppress(OSError):
                print(text, end="", flush=True)
