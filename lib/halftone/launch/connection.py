"""The connection between the driver and a Spark task that runs a rank.

The task's first line is a `Handshake`, its last one describes how the rank ended. Everything in
between is exchanged by the driver and the rank itself.
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
# A machine that is down sends nothing: probe the connection, and drop it after 45 seconds.
_KEEP_ALIVE = {"TCP_KEEPIDLE": 15, "TCP_KEEPINTVL": 10, "TCP_KEEPCNT": 3}


class DriverAddress(NamedTuple):
    """How a task reaches the driver."""

    host: str
    port: int
    token: str  # secret that authenticates a task


class Handshake(NamedTuple):
    """The first line that a task sends."""

    token: str  # DriverAddress.token
    number: int  # of the task
    host: str
    pid: int  # of the rank

    def encode(self) -> bytes:
        return json.dumps(self._asdict()).encode() + b"\n"


def encode_exit(description: str) -> bytes:
    """Encode the last line that a task sends; see `supervisor.Rank.describe_exit`."""
    return _EXIT_MARK + description.encode() + b"\n"


def _parse_exit(line: bytes) -> Optional[str]:
    # Search the whole line: the rank's last line may lack a newline.
    _, mark, description = line.partition(_EXIT_MARK)
    return description.decode().strip() if mark else None


def accept_rank(connection: socket.socket, token: str) -> Optional[SparkRank]:
    """Read the handshake; return the rank, or None if the peer is not one of our tasks."""
    connection.settimeout(_HANDSHAKE_TIMEOUT_SECS)
    connection.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
    for option, value in _KEEP_ALIVE.items():
        if hasattr(socket, option):
            connection.setsockopt(socket.IPPROTO_TCP, getattr(socket, option), value)
    try:
        rank = SparkRank(connection)
        if secrets.compare_digest(rank.token, token):
            connection.settimeout(None)
            return rank
    except (OSError, ValueError, TypeError):
        pass
    connection.close()
    return None


class SparkRank:
    """A rank that a Spark task started, at the other end of a connection."""

    def __init__(self, connection: socket.socket) -> None:
        self._connection = connection
        self._file = connection.makefile("rb")
        handshake = Handshake(**json.loads(self._file.readline()))
        self.token, self.task_number = handshake.token, handshake.number
        self.host = handshake.host
        self.location = f"{handshake.host}, pid {handshake.pid}"
        self._exit_description = "was lost with its Spark task"

    def send_line(self, line: bytes) -> None:
        with suppress(OSError):  # the rank has ended: describe_exit reports it
            self._connection.sendall(line)

    def start_training(self) -> None:
        self.send_line(b"begin\n")

    def read_lines(self) -> Iterator[bytes]:
        with suppress(OSError, ValueError):
            for line in self._file:
                description = _parse_exit(line)
                if description is not None:
                    self._exit_description = description
                    return
                yield line

    def describe_exit(self) -> str:
        return self._exit_description

    def kill(self) -> None:
        """Shut the connection down, which makes the task kill the rank."""
        with suppress(OSError):
            self._connection.shutdown(socket.SHUT_RDWR)

    def close(self) -> None:
        self.kill()
        self._connection.close()
