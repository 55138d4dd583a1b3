"""An S3 server whose objects are computed, not stored: many millions of keys, one content for all.

    python benchmarks/computed_s3.py --keys 10000000 --port 9000

The keys are images/<class>/<number>.jpg. It knows the requests of a reader: ListObjectsV2 without a
delimiter, GetObject and HeadObject.
"""

from __future__ import annotations

import argparse
import multiprocessing
import socket
import time
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any, NamedTuple
from urllib.parse import parse_qs, quote, unquote

BUCKET = "computed"
_MAX_PAGE_KEYS = 1000
_OBJECT = (
    "<Contents><Key>images/%s/%09d.jpg</Key><LastModified>2024-01-02T03:04:05.000Z</LastModified>"
    "<ETag>&quot;d41d8cd98f00b204e9800998ecf8427e&quot;</ETag><Size>{size_bytes}</Size>"
    "<StorageClass>STANDARD</StorageClass></Contents>"
)
_PAGE = (
    '<?xml version="1.0" encoding="UTF-8"?>\n'
    '<ListBucketResult xmlns="http://s3.amazonaws.com/doc/2006-03-01/"><Name>{bucket}</Name>'
    "<Prefix>{prefix}</Prefix><KeyCount>{count}</KeyCount><MaxKeys>{max_keys}</MaxKeys>"
    "<EncodingType>url</EncodingType><IsTruncated>{is_truncated}</IsTruncated>{token}{objects}"
    "</ListBucketResult>"
)


class ComputedKeys(NamedTuple):
    """The keys of a bucket in their order; the classes have equally many, but for the last."""

    num_keys: int
    num_classes: int = 1000

    def class_of(self, index: int) -> str:
        per_class = -(-self.num_keys // self.num_classes)
        return f"n{index // per_class:08d}"

    def key(self, index: int) -> str:
        return f"images/{self.class_of(index)}/{index:09d}.jpg"

    def count_before(self, text: str, *, inclusive: bool) -> int:
        """Return how many keys come before `text`, or are equal to it if `inclusive`."""
        low, high = 0, self.num_keys
        while low < high:
            middle = (low + high) // 2
            key = self.key(middle)
            if key < text or (inclusive and key == text):
                low = middle + 1
            else:
                high = middle
        return low

    def page(self, arguments: dict[str, str], size_bytes: int) -> str:
        """Return a page of ListObjectsV2."""
        prefix = arguments.get("prefix", "")
        start = self.count_before(prefix, inclusive=False)
        end = self.count_before(f"{prefix}\U0010ffff", inclusive=False) if prefix else self.num_keys
        if "start-after" in arguments:
            start = max(start, self.count_before(arguments["start-after"], inclusive=True))
        start = max(start, int(arguments.get("continuation-token", "0")))
        max_keys = min(int(arguments.get("max-keys", _MAX_PAGE_KEYS)), _MAX_PAGE_KEYS)
        stop = max(start, min(end, start + max_keys))
        values = [value for n in range(start, stop) for value in (self.class_of(n), n)]
        objects = _OBJECT.format(size_bytes=size_bytes) * (stop - start) % tuple(values)
        is_truncated = stop < end
        return _PAGE.format(
            bucket=BUCKET,
            prefix=quote(prefix),
            count=stop - start,
            max_keys=max_keys,
            is_truncated="true" if is_truncated else "false",
            token=f"<NextContinuationToken>{stop}</NextContinuationToken>" * is_truncated,
            objects=objects,
        )


def _handler(keys: ComputedKeys, content: bytes, latency_secs: float) -> type[Any]:
    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"
        wbufsize = -1  # one packet for headers and body

        def do_GET(self) -> None:
            time.sleep(latency_secs)
            path, _, query = self.path.partition("?")
            if "list-type=2" in query:
                arguments = {name: values[0] for name, values in parse_qs(query).items()}
                self._answer(200, keys.page(arguments, len(content)).encode())
                return
            key = unquote(path).removeprefix(f"/{BUCKET}/")
            index = keys.count_before(key, inclusive=False)
            if index < keys.num_keys and keys.key(index) == key:
                self._answer(200, content)
            else:
                self._answer(404, b"<Error><Code>NoSuchKey</Code></Error>")

        def do_HEAD(self) -> None:
            self.do_GET()

        def _answer(self, status: int, body: bytes) -> None:
            self.send_response(status)
            self.send_header("Content-Length", str(len(body)))
            self.send_header("Last-Modified", "Tue, 02 Jan 2024 03:04:05 GMT")
            self.end_headers()
            if self.command != "HEAD":
                self.wfile.write(body)
            self.wfile.flush()

        def log_message(self, *arguments: object) -> None:
            pass

    return Handler


def _serve(listener: socket.socket, keys: ComputedKeys, content: bytes, latency: float) -> None:
    server = ThreadingHTTPServer(
        ("127.0.0.1", 0), _handler(keys, content, latency), bind_and_activate=False
    )
    server.daemon_threads = True
    server.socket.close()
    server.socket = listener
    server.server_address = listener.getsockname()
    server.serve_forever()


@contextmanager
def served_computed_keys(
    keys: ComputedKeys,
    content: bytes = b"",
    *,
    latency_secs: float = 0.0,
    num_processes: int = 1,
    port: int = 0,
) -> Iterator[str]:
    """Serve the bucket on 127.0.0.1; yield the URL of the endpoint.

    Args:
        content: of each object.
        latency_secs: to wait before each answer.
        num_processes: that answer.
    """
    context = multiprocessing.get_context("fork")
    with socket.create_server(("127.0.0.1", port), backlog=512) as listener:
        arguments = (listener, keys, content, latency_secs)
        servers = [
            context.Process(target=_serve, args=arguments, daemon=True)
            for _ in range(num_processes)
        ]
        for server in servers:
            server.start()
        try:
            yield f"http://127.0.0.1:{listener.getsockname()[1]}"
        finally:
            for server in servers:
                server.terminate()
                server.join()


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--keys", type=int, default=10_000_000)
    parser.add_argument("--classes", type=int, default=1000)
    parser.add_argument("--port", type=int, default=0)
    parser.add_argument("--processes", type=int, default=1)
    parser.add_argument("--latency-secs", type=float, default=0.0)
    given = parser.parse_args()
    with served_computed_keys(
        ComputedKeys(given.keys, given.classes),
        latency_secs=given.latency_secs,
        num_processes=given.processes,
        port=given.port,
    ) as endpoint_url:
        print(f"s3://{BUCKET}/images with storage.options.s3.endpoint_url {endpoint_url}")
        while True:
            time.sleep(3600)
