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
from halftone.launch.failure import End
from halftone.launch.rank_messages import READY, Word
from halftone.launch.signals import StopRequest

_TICK_SECS = 0.1
# TensorFlow's files may have to come over a slow network.
_READY_SECS = 600.0
# When one is lost the others see it, and end by themselves; rank 0 may be at a checkpoint.
_GRACE_SECS = 2.0
_CHECKPOINT_SECS = 20.0
_STOP_SECS = 30.0
# What TensorFlow's and Horovod's own code says, as `[2026-11-21 03:10:42.878341: E ...`: for logs.
_NATIVE = re.compile(r"^\[?\d{4}-\d\d-\d\d \S+: [IWEF] ")
# From such a line on a rank that crashes says where it was.
_CRASH = ("terminate called ", "Fatal Python error: ")


class Rank(Protocol):
    """A rank that was started somewhere."""

    place: str  # where it runs

    def lines(self) -> Iterator[bytes]:
        """What it says, until it has ended."""

    def begin(self) -> None:
        """Let it meet the others and train."""

    def how_ended(self) -> str:
        """After its last line: how it ended, such as `was killed by signal 9`; empty if well."""

    def kill(self) -> None:
        """End it at once, if it still runs."""


def watch(
    ranks: Sequence[Rank], logs: Sequence[IO[bytes]], asked: StopRequest, attempt: int
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
        log.write(f"=== attempt {attempt}, {now}, {rank.place} ===\n".encode())
        watched.append(_Watched(number, rank, log))
    try:
        _wait(watched, asked)
    finally:
        for one in watched:
            one.kill()
        for one in watched:
            one.listener.join(_STOP_SECS)
    error = failure.of([one.end for one in watched if one.end is not None])
    if error is not None:
        raise error


def _wait(watched: Sequence[_Watched], asked: StopRequest) -> None:
    """Return when all have ended; those that do not when they should are killed."""
    first = watched[0]
    has_begun = False
    kill_at = time.monotonic() + _READY_SECS
    while any(one.end is None for one in watched):
        time.sleep(_TICK_SECS)
        if not has_begun:
            asked.check()
        if not has_begun and all(one.word == Word(READY) for one in watched):
            for one in watched:
                one.rank.begin()
            has_begun, kill_at = True, math.inf
        now = time.monotonic()
        if any(one.end is not None and one.end.how for one in watched):
            grace_secs = _GRACE_SECS if first.end else _CHECKPOINT_SECS
            kill_at = min(kill_at, now + (grace_secs if has_begun else 0))
        if asked.is_made():
            kill_at = min(kill_at, now + _STOP_SECS)
        if now >= kill_at:
            for one in watched:
                one.kill()


class _Watched:
    """A rank, and what it said."""

    def __init__(self, number: int, rank: Rank, log: IO[bytes]) -> None:
        self.rank = rank
        self.word: Optional[Word] = None  # the last
        self.end: Optional[End] = None
        self._number, self._log = number, log
        self._was_killed = False
        self._is_crashing = False
        self.listener = threading.Thread(target=self._listen, daemon=True)
        self.listener.start()

    def kill(self) -> None:
        if self.end is None:
            self._was_killed = True
            self.rank.kill()

    def _listen(self) -> None:
        for line in self.rank.lines():
            self._hear(line.decode("utf-8", "replace"))
        at_secs = time.monotonic()
        how = self.rank.how_ended()
        self.end = End(self._number, how, at_secs, self._was_killed, self.word)

    def _hear(self, line: str) -> None:
        text, word = rank_messages.parse(line)
        if word is not None:
            self.word = word
            text += f"{word.trace or word.text}\n" if word.text else ""
        # A full disk, or a reader who is gone, must not end the listening.
        with suppress(OSError):
            self._log.write(text.encode())
        self._is_crashing = self._is_crashing or text.startswith(_CRASH)
        is_for_people = word is None and not self._is_crashing and not _NATIVE.match(text)
        if self._number == 0 and is_for_people:
            with suppress(OSError):
                print(text, end="", flush=True)
