from __future__ import annotations

import socket
from collections.abc import Iterator

import pytest

from halftone.launch.connection import Hello, end_line, greet

HELLO = Hello("secret", 3, "node-7", 123)


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
    theirs.sendall(HELLO.line())
    task = greet(ours, "secret")
    assert task is not None
    assert (task.number, task.host, task.place) == (3, "node-7", "node-7, pid 123")
    task.tell(b"the job\n")
    task.begin()
    assert theirs.makefile("rb").readlines(2) == [b"the job\n"]
    theirs.sendall(b"epoch 1\nhalf a line" + end_line("was killed by signal 9"))
    assert list(task.lines()) == [b"epoch 1\n"]
    assert task.how_ended() == "was killed by signal 9"


def test_a_task_that_ended_well(ends: tuple[socket.socket, socket.socket]) -> None:
    ours, theirs = ends
    theirs.sendall(HELLO.line() + end_line(""))
    task = greet(ours, "secret")
    assert task is not None
    assert list(task.lines()) == []
    assert task.how_ended() == ""


def test_a_task_that_is_gone(ends: tuple[socket.socket, socket.socket]) -> None:
    ours, theirs = ends
    theirs.sendall(HELLO.line() + b"epoch 1\n")
    task = greet(ours, "secret")
    theirs.close()
    assert task is not None
    assert list(task.lines()) == [b"epoch 1\n"]
    assert task.how_ended() == "was lost with its Spark task"
    task.tell(b"nobody reads this\n")


def test_killing_a_task_ends_its_connection(ends: tuple[socket.socket, socket.socket]) -> None:
    ours, theirs = ends
    theirs.sendall(HELLO.line())
    task = greet(ours, "secret")
    assert task is not None
    task.kill()
    assert theirs.recv(1) == b""
    assert list(task.lines()) == []
    task.kill()


@pytest.mark.parametrize(
    "said", [Hello("guess", 0, "h", 1).line(), b"GET / HTTP/1.1\n", b'{"token": "secret"}\n', b""]
)
def test_somebody_else_is_hung_up_on(
    ends: tuple[socket.socket, socket.socket], said: bytes
) -> None:
    ours, theirs = ends
    theirs.sendall(said)
    theirs.shutdown(socket.SHUT_WR)
    assert greet(ours, "secret") is None
    assert theirs.recv(1) == b""
