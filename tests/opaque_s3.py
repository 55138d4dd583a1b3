"""An S3 server in this process whose keys are opaque, as on AWS; it lists and returns objects."""

from __future__ import annotations

import threading
from bisect import bisect_right
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from urllib.parse import parse_qs, quote, unquote
from xml.sax.saxutils import escape

_KEYS_PER_PAGE = 3


@contextmanager
def served_keys(bucket: str, objects: Mapping[str, bytes]) -> Iterator[str]:
    """Serve the objects by key; yield the URL of the endpoint."""

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_GET(self) -> None:
            path, _, query = self.path.partition("?")
            if "list-type=2" in query:
                self._answer(200, _page(bucket, objects, query))
                return
            content = objects.get(unquote(path).removeprefix(f"/{bucket}/"))
            if content is None:
                self._answer(404, b"<Error><Code>NoSuchKey</Code></Error>")
            elif "Range" in self.headers and not content:
                self._answer(416, b"<Error><Code>InvalidRange</Code></Error>")
            else:
                self._answer(200, content)

        def do_HEAD(self) -> None:
            self.do_GET()

        def _answer(self, status: int, body: bytes) -> None:
            self.send_response(status)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            if self.command != "HEAD":
                self.wfile.write(body)

        def log_message(self, *arguments: object) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.daemon_threads = True
    threading.Thread(target=server.serve_forever, daemon=True).start()
    try:
        yield f"http://127.0.0.1:{server.server_port}"
    finally:
        server.shutdown()
        server.server_close()


def _page(bucket: str, objects: Mapping[str, bytes], query: str) -> bytes:
    arguments = {name: values[0] for name, values in parse_qs(query).items()}
    keys = [key for key in sorted(objects) if key.startswith(arguments.get("prefix", ""))]
    start = bisect_right(keys, arguments["start-after"]) if "start-after" in arguments else 0
    start = int(arguments.get("continuation-token", start))
    end = start + min(_KEYS_PER_PAGE, int(arguments.get("max-keys", _KEYS_PER_PAGE)))
    is_truncated = end < len(keys)
    items = "".join(
        f"<Contents><Key>{escape(quote(key))}</Key><Size>{len(objects[key])}</Size>"
        "<LastModified>2024-01-02T03:04:05.000Z</LastModified></Contents>"
        for key in keys[start:end]
    )
    return (
        f'<?xml version="1.0"?><ListBucketResult><Name>{bucket}</Name>'
        f"<EncodingType>url</EncodingType><IsTruncated>{str(is_truncated).lower()}</IsTruncated>"
        f"<NextContinuationToken>{end}</NextContinuationToken>{items}</ListBucketResult>"
    ).encode()
