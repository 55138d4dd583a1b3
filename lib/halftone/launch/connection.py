"""The connection between the driver and a Spark task that is a rank: what is said on it, and how.

The task greets, and says at last how its rank ended; all in between is between driver and rank.
"""

from __future__ import annotations

import json
import secrets
import socket
from collections.abc import Iterator
from contextlib import suppress
from typing import NamedTuple, Optional

_END = b"\x1dend "
_HELLO_SECS = 10.0
# A machine that is gone says nothing: ask it now and then, and give it up after 45 seconds.
_KEEP_ALIVE = {"TCP_KEEPIDLE": 15, "TCP_KEEPINTVL": 10, "TCP_KEEPCNT": 3}


class Driver(NamedTuple):
    """How a task reaches the driver."""

    host: str
    port: int
    token: str  # so that nobody else is taken for a task


class Hello(NamedTuple):
    """What a task says first."""

    token: str  # the driver's
    number: int  # of the task
    host: str
    pid: int  # of the rank

    def line(self) -> bytes:
        return json.dumps(self._asdict()).encode() + b"\n"


def end_line(how: str) -> bytes:
    """What a task says last; see Rank.how_ended."""
    return _END + how.encode() + b"\n"


def _parse_end(line: bytes) -> Optional[str]:
    _, mark, how = line.partition(_END)  # the rank's last line may lack its end
    return how.decode().strip() if mark else None


def greet(connection: socket.socket, token: str) -> Optional[Task]:
    """Return the task at the other end; None where it is something else."""
    connection.settimeout(_HELLO_SECS)
    connection.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
    for name, value in _KEEP_ALIVE.items():
        if hasattr(socket, name):
            connection.setsockopt(socket.IPPROTO_TCP, getattr(socket, name), value)
    try:
        task = Task(connection)
        if secrets.compare_digest(task.token, token):
            connection.settimeout(None)
            return task
    except (OSError, ValueError, TypeError):
        pass
    connection.close()
    return None


class Task:
    """A rank that a Spark task started, at the other end of a connection."""

    def __init__(self, connection: socket.socket) -> None:
        self._connection = connection
        self._file = connection.makefile("rb")
        hello = Hello(**json.loads(self._file.readline()))
        self.token, self.number, self.host = hello.token, hello.number, hello.host
        self.place = f"{hello.host}, pid {hello.pid}"
        self._how = "was lost with its Spark task"

    def tell(self, line: bytes) -> None:
        with suppress(OSError):  # it is gone: its end says more
            self._connection.sendall(line)

    def begin(self) -> None:
        self.tell(b"begin\n")

    def lines(self) -> Iterator[bytes]:
        with suppress(OSError, ValueError):
            for line in self._file:
                how = _parse_end(line)
                if how is not None:
                    self._how = how
                    return
                yield line

    def how_ended(self) -> str:
        return self._how

    def kill(self) -> None:
        """Its task sees the connection end, and kills it."""
        with suppress(OSError):
            self._connection.shutdown(socket.SHUT_RDWR)

    def close(self) -> None:
        self.kill()
        self._connection.close()
