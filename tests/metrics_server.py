"""A server that records what is sent to it, as a Pushgateway or an OpenTelemetry collector."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import NamedTuple


class Received(NamedTuple):
    """A request."""

    method: str
    path: str
    headers: dict[str, str]  # by name in lower case
    body: bytes


class MetricsServer(ThreadingHTTPServer):
    """Answers every request with `status` once it may; `requests` has them in order."""

    daemon_threads = True

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        self.status = 200
        self.may_answer = threading.Event()
        self.may_answer.set()
        self.requests: list[Received] = []

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server_address[1]}"


class _Handler(BaseHTTPRequestHandler):
    server: MetricsServer

    def _receive(self) -> None:
        body = self.rfile.read(int(self.headers["Content-Length"]))
        headers = {name.lower(): value for name, value in self.headers.items()}
        self.server.requests.append(Received(self.command, self.path, headers, body))
        self.server.may_answer.wait(30)
        try:
            self.send_response(self.server.status)
            self.send_header("Content-Length", "0")
            self.end_headers()
        except OSError:  # the client has given up
            pass

    def do_POST(self) -> None:
        self._receive()

    def do_PUT(self) -> None:
        self._receive()

    def log_message(self, *_: object) -> None:
        pass


@contextmanager
def running_server() -> Iterator[MetricsServer]:
    with MetricsServer() as server:
        threading.Thread(target=server.serve_forever, args=[0.02], daemon=True).start()
        yield server
        server.may_answer.set()
        server.shutdown()
