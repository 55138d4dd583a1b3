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

_EXIT_MARK = b"\x1dend "
_HANDSHAKE_TIMEOUT_SECS = 10.0
# A machine that is gone says nothing: ask it now and then, and give it up after 45 seconds.
_KEEP_ALIVE = {"TCP_KEEPIDLE": 15, "TCP_KEEPINTVL": 10, "TCP_KEEPCNT": 3}


class DriverAddress(NamedTuple):
    """How a task reaches the driver."""

    host: str
    port: int
    token: str  # so that nobody else is taken for a task


class Handshake(NamedTuple):
    """What a task says first."""

    token: str  # the driver's
    number: int  # of the task
    host: str
    pid: int  # of the rank

    def encode(self) -> bytes:
        return json.dumps(self._asdict()).encode() + b"\n"


def encode_exit(description: str) -> bytes:
    """What a task says last; see Rank.how_ended."""
    return _EXIT_MARK + description.encode() + b"\n"


def _parse_exit(line: bytes) -> Optional[str]:
    _, mark, how = line.partition(_EXIT_MARK)  # the rank's last line may lack its end
    return how.decode().strip() if mark else None


def accept_rank(connection: socket.socket, token: str) -> Optional[SparkRank]:
    """Return the task at the other end; None where it is something else."""
    connection.settimeout(_HANDSHAKE_TIMEOUT_SECS)
    connection.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
    for name, value in _KEEP_ALIVE.items():
        if hasattr(socket, name):
            connection.setsockopt(socket.IPPROTO_TCP, getattr(socket, name), value)
    try:
        task = SparkRank(connection)
        if secrets.compare_digest(task.token, token):
            connection.settimeout(None)
            return task
    except (OSError, ValueError, TypeError):
        pass
    connection.close()
    return None


class SparkRank:
    """A rank that a Spark task started, at the other end of a connection."""

    def __init__(self, connection: socket.socket) -> None:
        self._connection = connection
        self._file = connection.makefile("rb")
        hello = Handshake(**json.loads(self._file.readline()))
        self.token, self.task_number, self.host = hello.token, hello.number, hello.host
        self.location = f"{hello.host}, pid {hello.pid}"
        self._exit_description = "was lost with its Spark task"

    def send_line(self, line: bytes) -> None:
        with suppress(OSError):  # it is gone: its end says more
            self._connection.sendall(line)

    def start_training(self) -> None:
        self.send_line(b"begin\n")

    def read_lines(self) -> Iterator[bytes]:
        with suppress(OSError, ValueError):
            for line in self._file:
                how = _parse_exit(line)
                if how is not None:
                    self._exit_description = how
                    return
                yield line

    def describe_exit(self) -> str:
        return self._exit_description

    def kill(self) -> None:
        """Its task sees the connection end, and kills it."""
        with suppress(OSError):
            self._connection.shutdown(socket.SHUT_RDWR)

    def close(self) -> None:
        self.kill()
        self._connection.close()
