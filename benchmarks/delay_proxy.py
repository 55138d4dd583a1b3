"""A TCP proxy that holds every answer back for a while, as a far-away store does.

The delay comes before the first byte of each response, so it is paid once a request; the rest of
the response passes at once, and connections are kept alive. It runs in a process of its own.
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
    counter: Any  # of requests answered, shared with the process that counts

    @property
    def requests(self) -> int:
        """Requests answered so far."""
        return int(self.counter.value)


@contextmanager
def delay_proxy(target_port: int, delay_secs: float) -> Iterator[DelayProxy]:
    """Serve a proxy on 127.0.0.1 in front of `target_port` until the end of the context."""
    listening = socket.create_server(("127.0.0.1", 0), backlog=512)
    context = multiprocessing.get_context("fork")  # hands the listening socket over
    requests = context.Value(ctypes.c_int64, 0)
    arguments = (listening, target_port, delay_secs, requests)
    process = context.Process(target=_serve_for_ever, args=arguments, daemon=True)
    process.start()
    port = listening.getsockname()[1]
    listening.close()
    try:
        yield DelayProxy(port, requests)
    finally:
        process.terminate()
        process.join()


def _serve_for_ever(
    listening: socket.socket, target_port: int, delay_secs: float, requests: Any
) -> None:
    async def serve() -> None:
        async def handle(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            await _Connection(delay_secs, requests).run(reader, writer, target_port)

        server = await asyncio.start_server(handle, sock=listening)
        await server.serve_forever()

    asyncio.run(serve())


class _Connection:
    """One client's connection. HTTP/1.1 without pipelining: a request, then its response."""

    def __init__(self, delay_secs: float, requests: Any) -> None:
        self._delay_secs = delay_secs
        self._requests = requests
        self._is_asked = False  # a request went up, and nothing of its response came down yet

    async def run(
        self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, target_port: int
    ) -> None:
        with suppress(ConnectionError):
            above, below = await asyncio.open_connection("127.0.0.1", target_port)
            both = (self._pass_requests(reader, below), self._pass_responses(above, writer))
            await asyncio.gather(*both, return_exceptions=True)
            below.close()
        writer.close()

    async def _pass_requests(
        self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter
    ) -> None:
        while data := await reader.read(_CHUNK_BYTES):
            self._is_asked = True
            writer.write(data)
            await writer.drain()
        writer.write_eof()

    async def _pass_responses(
        self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter
    ) -> None:
        while data := await reader.read(_CHUNK_BYTES):
            if self._is_asked:
                self._is_asked = False
                self._requests.value += 1
                await asyncio.sleep(self._delay_secs)
            writer.write(data)
            await writer.drain()
        writer.close()
