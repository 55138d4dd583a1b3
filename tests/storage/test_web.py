"""Files of a real server on 127.0.0.1 that fails in all ways."""

from __future__ import annotations

import socket
import threading
import time
from collections import Counter
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import ClassVar

import fsspec
import pytest

from halftone import storage
from halftone.storage import clients
from halftone.storage.web import WebOptions, WebReader

QUICK = WebOptions(timeout_secs=0.5, retries=1)


class Handler(BaseHTTPRequestHandler):
    counts: ClassVar[Counter[str]] = Counter()
    agents: ClassVar[set[str]] = set()
    robots = ""
    running = most_running = 0
    lock = threading.Lock()

    def do_GET(self) -> None:
        cls, path = type(self), self.path
        with cls.lock:
            cls.counts[path] += 1
            cls.agents.add(self.headers["User-Agent"])
        self.answer(path, cls.counts[path])

    def wait(self) -> None:
        """Counts the requests that run before the answer: after it the client goes on."""
        cls = type(self)
        with cls.lock:
            cls.running += 1
            cls.most_running = max(cls.most_running, cls.running)
        time.sleep(0.05)
        with cls.lock:
            cls.running -= 1

    def answer(self, path: str, number: int) -> None:
        if path == "/robots.txt" and not self.robots:
            return self.send(404)
        if path == "/robots.txt":
            return self.send(503) if self.robots == "503" else self.send(200, self.robots.encode())
        if path == "/busy-once.jpg" and number == 1:
            return self.send(503, headers={"Retry-After": "0"})
        if path == "/moved.jpg":
            return self.send(302, headers={"Location": "/a.jpg"})
        if path == "/cut.jpg":
            return self.send(200, b"12345", headers={"Content-Length": "9"})
        if path == "/slow.jpg":
            time.sleep(1.0)
        if path.startswith("/wait"):
            self.wait()
        if path.startswith("/status-"):
            return self.send(int(path[8:11]))
        self.send(200, b"bytes of " + path.encode())

    def send(self, status: int, body: bytes = b"", headers: dict[str, str] | None = None) -> None:
        self.send_response(status)
        for name, value in {"Content-Length": str(len(body)), **(headers or {})}.items():
            self.send_header(name, value)
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_: object) -> None:
        pass


@pytest.fixture
def server() -> Iterator[str]:
    Handler.counts, Handler.agents, Handler.robots = Counter(), set(), ""
    Handler.running = Handler.most_running = 0
    httpd = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=httpd.serve_forever, daemon=True)
    thread.start()
    yield f"http://127.0.0.1:{httpd.server_port}"
    httpd.shutdown()
    httpd.server_close()


def read(reader: WebReader, url: str, max_bytes: int | None = 1000) -> bytes | str:
    answer = reader.read(url, max_bytes)
    return answer if isinstance(answer, bytes) else answer.strerror or str(answer)


def test_each_file_has_its_bytes_or_a_reason(server: str) -> None:
    reader = WebReader(QUICK)
    assert read(reader, f"{server}/a%20b.jpg?x=1") == b"bytes of /a%20b.jpg?x=1"
    assert read(reader, f"{server}/moved.jpg") == b"bytes of /a.jpg"
    assert read(reader, f"{server}/busy-once.jpg") == b"bytes of /busy-once.jpg"
    assert read(reader, f"{server}/status-404.jpg") == "HTTP 404 Not Found"
    assert read(reader, f"{server}/status-503.jpg") == "HTTP 503 Service Unavailable"
    assert read(reader, f"{server}/a.jpg", 3) == ("too large: 15 bytes, at most 3 are read")
    assert "Read timed out" in str(read(reader, f"{server}/slow.jpg"))
    assert "IncompleteRead" in str(read(reader, f"{server}/cut.jpg"))
    assert Handler.counts["/status-404.jpg"] == 1
    assert Handler.counts["/status-503.jpg"] == 2  # one retry
    assert Handler.counts["/robots.txt"] == 1
    assert Handler.agents == {WebOptions().user_agent}
    assert WebOptions().user_agent.startswith("halftone/")


def test_robots_txt_is_respected_unless_it_is_ignored(server: str) -> None:
    Handler.robots = "User-agent: *\nDisallow: /private/\n"
    reader = WebReader(QUICK)
    assert read(reader, f"{server}/public/a.jpg") == b"bytes of /public/a.jpg"
    assert read(reader, f"{server}/private/a.jpg") == (
        f"{server}/robots.txt does not allow it; ask the owner, or set storage.options.web "
        "ignore_robots: true"
    )
    assert Handler.counts["/private/a.jpg"] == 0
    ignoring = WebReader(QUICK._replace(ignore_robots=True, user_agent="me"))
    assert read(ignoring, f"{server}/private/a.jpg") == b"bytes of /private/a.jpg"
    assert Handler.counts["/robots.txt"] == 1
    Handler.robots = "User-agent: me\nDisallow: /\n"
    assert read(WebReader(QUICK), f"{server}/a.jpg") == b"bytes of /a.jpg"
    assert "does not allow" in str(read(WebReader(QUICK._replace(user_agent="me")), f"{server}/a"))
    Handler.robots = "503"
    assert read(WebReader(QUICK), f"{server}/a.jpg") == (
        f"{server}/robots.txt cannot be read: HTTP 503 Service Unavailable"
    )


def test_a_host_gets_few_requests_at_the_same_time(
    server: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(fsspec.config.conf, "web", {"requests_per_host": 3})
    urls = [f"{server}/wait-{number}.jpg" for number in range(20)]
    assert storage.read_files(urls) == [
        f"bytes of /wait-{number}.jpg".encode() for number in range(20)
    ]
    assert Handler.most_running == 3


def test_a_dead_host_is_left_alone_and_others_are_read(server: str) -> None:
    with socket.socket() as unused:
        unused.bind(("127.0.0.1", 0))
        dead = f"http://127.0.0.1:{unused.getsockname()[1]}"
        urls = [f"{dead}/{number}.jpg" for number in range(50)]
        reader = WebReader(QUICK._replace(retries=0))
        answers = [str(read(reader, url)) for url in urls]
    assert "Connection refused" in answers[0]
    reason = "the host gave no answer to 3 requests in a row"
    assert answers[3:] == [f"{dead}/robots.txt cannot be read: {reason}"] * 47
    assert read(reader, f"{server}/a.jpg") == b"bytes of /a.jpg"


def test_the_options_reach_other_processes(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("FSSPEC_WEB", raising=False)
    monkeypatch.setitem(fsspec.config.conf, "web", {})
    monkeypatch.setattr(clients, "_configured_protocols", set())
    clients.set_options({"web": {"retries": 7}})
    assert clients.client_environment() == {"FSSPEC_WEB": '{"retries": 7}'}
    assert WebOptions(**fsspec.config.conf["web"]).retries == 7
    monkeypatch.delenv("FSSPEC_WEB")
