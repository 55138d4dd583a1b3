"""A TCP proxy that delays every response, to simulate a distant store.

The delay comes before the first byte of each response, so it applies once per request. The rest of
the response is forwarded immediately, and connections are kept alive. The proxy is a separate
process.
"""

from __future__ import annotations

import asyncio
import ctypes
import multiprocessing
import socket
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from typing import Any, NamedTuple

_CHUNK_BYTES = 1 << 16


class DelayProxy(NamedTuple):
    port: int
    counter: Any  # of answered requests, shared with the proxy process

    @property
    def requests(self) -> int:
        """Number of requests answered so far."""
        return int(self.counter.value)


@contextmanager
def delay_proxy(target_port: int, delay_secs: float) -> Iterator[DelayProxy]:
    """Serve a proxy on 127.0.0.1 in front of `target_port` until the end of the context."""
    listener = socket.create_server(("127.0.0.1", 0), backlog=512)
    context = multiprocessing.get_context("fork")  # the child inherits the listening socket
    requests = context.Value(ctypes.c_int64, 0)
    arguments = (listener, target_port, delay_secs, requests)
    process = context.Process(target=_serve_for_ever, args=arguments, daemon=True)
    process.start()
    port = listener.getsockname()[1]
    listener.close()
    try:
        yield DelayProxy(port, requests)
    finally:
        process.terminate()
        process.join()


def _serve_for_ever(
    listener: socket.socket, target_port: int, delay_secs: float, requests: Any
) -> None:
    async def serve() -> None:
        async def handle(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            await _Connection(delay_secs, requests).run(reader, writer, target_port)

        server = await asyncio.start_server(handle, sock=listener)
        await server.serve_forever()

    asyncio.run(serve())


class _Connection:
    """One client's connection. HTTP/1.1 without pipelining: a request, then its response."""

    def __init__(self, delay_secs: float, requests: Any) -> None:
        self._delay_secs = delay_secs
        self._requests = requests
        self._is_response_due = False  # a request was sent, and its response has not started

    async def run(
        self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, target_port: int
    ) -> None:
        with suppress(ConnectionError):
            server_reader, server_writer = await asyncio.open_connection("127.0.0.1", target_port)
            await asyncio.gather(
                self._pass_requests(reader, server_writer),
                self._pass_responses(server_reader, writer),
                return_exceptions=True,
            )
            server_writer.close()
        writer.close()

    async def _pass_requests(
        self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter
    ) -> None:
        while data := await reader.read(_CHUNK_BYTES):
            self._is_response_due = True
            writer.write(data)
            await writer.drain()
        writer.write_eof()

    async def _pass_responses(
        self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter
    ) -> None:
        while data := await reader.read(_CHUNK_BYTES):
            if self._is_response_due:
                self._is_response_due = False
                self._requests.value += 1
                await asyncio.sleep(self._delay_secs)
            writer.write(data)
            await writer.drain()
        writer.close()
