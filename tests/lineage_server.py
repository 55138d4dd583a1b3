"""A server that records the events of OpenLineage, and a reader of them."""

from __future__ import annotations

import json
import os
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any


class LineageServer(ThreadingHTTPServer):
    """Answers every event with `status`; `events` has their bodies in order."""

    daemon_threads = True

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        self.status = 201
        self.events: list[dict[str, Any]] = []
        self.requests: list[tuple[str, str]] = []  # path and Authorization

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server_address[1]}"

    def states(self) -> list[tuple[str, str]]:
        """Return the job's name and the state of each event."""
        return [(event["job"]["name"], event["eventType"]) for event in self.events]


class _Handler(BaseHTTPRequestHandler):
    server: LineageServer

    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers["Content-Length"]))
        self.server.events.append(json.loads(body))
        self.server.requests.append((self.path, self.headers.get("Authorization", "")))
        self.send_response(self.server.status)
        self.send_header("Content-Length", "0")
        self.end_headers()

    def log_message(self, *_: object) -> None:
        pass


@contextmanager
def running_server() -> Iterator[LineageServer]:
    with LineageServer() as server:
        threading.Thread(target=server.serve_forever, args=[0.02], daemon=True).start()
        yield server
        server.shutdown()


def forget_configuration() -> None:
    """Remove the client's variables, also those that it sets itself."""
    for name in [name for name in os.environ if name.startswith("OPENLINEAGE")]:
        del os.environ[name]


def plain_facets(facets: dict[str, Any]) -> dict[str, Any]:
    """Return facets without the keys that all have: the producer and the URL of the schema.

    The client adds its version as a tag.
    """
    return {
        name: {key: value for key, value in facet.items() if not key.startswith("_")}
        for name, facet in facets.items()
        if name != "tags"
    }


def datasets(entries: list[dict[str, Any]]) -> list[tuple[str, str, dict[str, Any]]]:
    """Return namespace, name and all facets of inputs or outputs; of the schema, the names."""
    result = []
    for entry in entries:
        facets = {
            **entry.get("facets", {}),
            **entry.get("inputFacets", {}),
            **entry.get("outputFacets", {}),
        }
        values = plain_facets(facets)
        if "schema" in values:
            values["schema"] = [field["name"] for field in values["schema"]["fields"]]
        result.append((entry["namespace"], entry["name"], values))
    return result
