from __future__ import annotations

import socket
from collections.abc import Iterator

import pytest

from halftone.launch.connection import Handshake, accept_rank, encode_exit

HANDSHAKE = Handshake("secret", 3, "node-7", 123)


@pytest.fixture
def sockets() -> Iterator[tuple[socket.socket, socket.socket]]:
    """The driver's end of a connection and the task's end."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        task_socket = socket.create_connection(server.getsockname())
        driver_socket, _ = server.accept()
    with driver_socket, task_socket:
        yield driver_socket, task_socket


def test_handshake_output_and_exit_are_read(
    sockets: tuple[socket.socket, socket.socket],
) -> None:
    driver_socket, task_socket = sockets
    task_socket.sendall(HANDSHAKE.encode())
    rank = accept_rank(driver_socket, "secret")
    assert rank is not None
    assert (rank.task_number, rank.host, rank.location) == (3, "node-7", "node-7, pid 123")
    rank.send_line(b"the job\n")
    rank.start_training()
    assert task_socket.makefile("rb").readlines(2) == [b"the job\n"]
    task_socket.sendall(b"epoch 1\nhalf a line" + encode_exit("was killed by signal 9"))
    assert list(rank.read_lines()) == [b"epoch 1\n"]
    assert rank.describe_exit() == "was killed by signal 9"


def test_clean_exit_has_an_empty_description(sockets: tuple[socket.socket, socket.socket]) -> None:
    driver_socket, task_socket = sockets
    task_socket.sendall(HANDSHAKE.encode() + encode_exit(""))
    rank = accept_rank(driver_socket, "secret")
    assert rank is not None
    assert list(rank.read_lines()) == []
    assert rank.describe_exit() == ""


def test_closed_connection_is_a_lost_task(sockets: tuple[socket.socket, socket.socket]) -> None:
    driver_socket, task_socket = sockets
    task_socket.sendall(HANDSHAKE.encode() + b"epoch 1\n")
    rank = accept_rank(driver_socket, "secret")
    task_socket.close()
    assert rank is not None
    assert list(rank.read_lines()) == [b"epoch 1\n"]
    assert rank.describe_exit() == "was lost with its Spark task"
    rank.send_line(b"nobody reads this\n")


def test_kill_closes_the_connection(sockets: tuple[socket.socket, socket.socket]) -> None:
    driver_socket, task_socket = sockets
    task_socket.sendall(HANDSHAKE.encode())
    rank = accept_rank(driver_socket, "secret")
    assert rank is not None
    rank.kill()
    assert task_socket.recv(1) == b""
    assert list(rank.read_lines()) == []
    rank.kill()


@pytest.mark.parametrize(
    "first_line",
    [Handshake("guess", 0, "h", 1).encode(), b"GET / HTTP/1.1\n", b'{"token": "secret"}\n', b""],
)
def test_connection_without_the_token_is_closed(
    sockets: tuple[socket.socket, socket.socket], first_line: bytes
) -> None:
    driver_socket, task_socket = sockets
    task_socket.sendall(first_line)
    task_socket.shutdown(socket.SHUT_WR)
    assert accept_rank(driver_socket, "secret") is None
    assert task_socket.recv(1) == b""
