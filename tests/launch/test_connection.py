from __future__ import annotations

import socket
from collections.abc import Iterator

import pytest

from halftone.launch.connection import Handshake, accept_rank, encode_exit

HELLO = Handshake("secret", 3, "node-7", 123)


@pytest.fixture
def ends() -> Iterator[tuple[socket.socket, socket.socket]]:
    """The driver's end of a connection, and the task's."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        theirs = socket.create_connection(server.getsockname())
        ours, _ = server.accept()
    with ours, theirs:
        yield ours, theirs


def test_a_task_says_who_it_is_what_its_rank_says_and_how_that_ended(
    ends: tuple[socket.socket, socket.socket],
) -> None:
    ours, theirs = ends
    theirs.sendall(HELLO.encode())
    task = accept_rank(ours, "secret")
    assert task is not None
    assert (task.task_number, task.host, task.location) == (3, "node-7", "node-7, pid 123")
    task.send_line(b"the job\n")
    task.start_training()
    assert theirs.makefile("rb").readlines(2) == [b"the job\n"]
    theirs.sendall(b"epoch 1\nhalf a line" + encode_exit("was killed by signal 9"))
    assert list(task.read_lines()) == [b"epoch 1\n"]
    assert task.describe_exit() == "was killed by signal 9"


def test_a_task_that_ended_well(ends: tuple[socket.socket, socket.socket]) -> None:
    ours, theirs = ends
    theirs.sendall(HELLO.encode() + encode_exit(""))
    task = accept_rank(ours, "secret")
    assert task is not None
    assert list(task.read_lines()) == []
    assert task.describe_exit() == ""


def test_a_task_that_is_gone(ends: tuple[socket.socket, socket.socket]) -> None:
    ours, theirs = ends
    theirs.sendall(HELLO.encode() + b"epoch 1\n")
    task = accept_rank(ours, "secret")
    theirs.close()
    assert task is not None
    assert list(task.read_lines()) == [b"epoch 1\n"]
    assert task.describe_exit() == "was lost with its Spark task"
    task.send_line(b"nobody reads this\n")


def test_killing_a_task_ends_its_connection(ends: tuple[socket.socket, socket.socket]) -> None:
    ours, theirs = ends
    theirs.sendall(HELLO.encode())
    task = accept_rank(ours, "secret")
    assert task is not None
    task.kill()
    assert theirs.recv(1) == b""
    assert list(task.read_lines()) == []
    task.kill()


@pytest.mark.parametrize(
    "said",
    [Handshake("guess", 0, "h", 1).encode(), b"GET / HTTP/1.1\n", b'{"token": "secret"}\n', b""],
)
def test_somebody_else_is_hung_up_on(
    ends: tuple[socket.socket, socket.socket], said: bytes
) -> None:
    ours, theirs = ends
    theirs.sendall(said)
    theirs.shutdown(socket.SHUT_WR)
    assert accept_rank(ours, "secret") is None
    assert theirs.recv(1) == b""
