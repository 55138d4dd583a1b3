"""An HTTP proxy in front of a store that injects faults: errors, broken bodies, slow responses.

It runs in a thread of the test, which chooses the fault of each request with a function.
"""

from __future__ import annotations

import asyncio
import itertools
import random
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from typing import Callable, Optional

# The outcomes of a request.
PASS, RESET, SLOW, HANG = "pass", "reset", "slow", "hang"
ERROR_403, ERROR_500, ERROR_501, ERROR_503 = "403", "500", "501", "503"
FAULTS = (ERROR_500, ERROR_503, RESET, SLOW)
_SLOW_SECS = 0.5
_ERRORS = {
    ERROR_403: ("403 Forbidden", "AccessDenied"),
    ERROR_500: ("500 Internal Server Error", "InternalError"),
    ERROR_501: ("501 Not Implemented", "NotImplemented"),
    ERROR_503: ("503 Service Unavailable", "ServiceUnavailable"),
}
Fault = Callable[[str, str], str]  # of method and target, such as GET and /bucket/key?...


def no_faults(method: str, target: str) -> str:
    return PASS


def random_faults(fraction: float, seed: int) -> Fault:
    """Inject faults into a fraction of the requests, with all kinds in turn."""
    rng, kinds = random.Random(seed), itertools.cycle(FAULTS)
    return lambda method, target: next(kinds) if rng.random() < fraction else PASS


class FaultProxy:
    def __init__(self, target_port: int) -> None:
        self.fault: Fault = no_faults
        self.requests: list[tuple[str, str, str]] = []  # method, target, outcome
        self.heads: list[str] = []  # of the requests, in lower case
        self.port = 0
        self._target_port = target_port
        self._loop = asyncio.new_event_loop()
        self._is_up = threading.Event()
        self._thread = threading.Thread(target=self._run, daemon=True)

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    def count(self, fault: str) -> int:
        """Count the requests with this outcome."""
        return sum(outcome == fault for _, _, outcome in self.requests)

    def start(self) -> None:
        self._thread.start()
        self._is_up.wait()

    def stop(self) -> None:
        asyncio.run_coroutine_threadsafe(self._end(), self._loop).result()
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join()

    async def _end(self) -> None:
        connections = asyncio.all_tasks() - {asyncio.current_task()}
        for connection in connections:
            connection.cancel()
        await asyncio.gather(*connections, return_exceptions=True)

    def _run(self) -> None:
        asyncio.set_event_loop(self._loop)
        server = self._loop.run_until_complete(
            asyncio.start_server(self._serve, "127.0.0.1", 0, limit=1 << 20)
        )
        self.port = server.sockets[0].getsockname()[1]
        self._is_up.set()
        self._loop.run_forever()

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        upstream_writer: Optional[asyncio.StreamWriter] = None
        with suppress(ConnectionError, asyncio.IncompleteReadError, asyncio.CancelledError):
            upstream_reader, upstream_writer = await asyncio.open_connection(
                "127.0.0.1", self._target_port
            )
            while await self._forward_request(reader, writer, upstream_reader, upstream_writer):
                pass
        writer.close()
        if upstream_writer is not None:
            upstream_writer.close()

    async def _forward_request(
        self,
        reader: asyncio.StreamReader,
        writer: asyncio.StreamWriter,
        upstream_reader: asyncio.StreamReader,
        upstream_writer: asyncio.StreamWriter,
    ) -> bool:
        """Forward a request and its response, or inject a fault.

        Returns:
            Whether the connection stays open.
        """
        head = await reader.readuntil(b"\r\n\r\n")
        method, target, _ = head.split(b"\r\n", 1)[0].decode().split(" ", 2)
        fault = self.fault(method, target)
        self.requests.append((method, target, fault))
        self.heads.append(head.decode().lower())
        if fault == HANG:
            await asyncio.sleep(3600)
        if b"expect: 100-continue" in head.lower():
            writer.write(b"HTTP/1.1 100 Continue\r\n\r\n")
            head = _without(head, b"expect")
        body = await _body(head, reader)
        if fault in _ERRORS:
            writer.write(_error(method, *_ERRORS[fault]))
            await writer.drain()
            return True
        if fault == SLOW:
            await asyncio.sleep(_SLOW_SECS)
        upstream_writer.write(head + body)
        await upstream_writer.drain()
        response = await upstream_reader.readuntil(b"\r\n\r\n")
        while response.startswith(b"HTTP/1.1 100 "):  # DataNodes send it without being asked
            response = await upstream_reader.readuntil(b"\r\n\r\n")
        content = b"" if method == "HEAD" else await _body(response, upstream_reader)
        if fault == RESET:  # in the middle of the body, or before a response without a body
            writer.write(response + content[: len(content) // 2] if content else b"")
            await writer.drain()
            writer.transport.abort()
            return False
        writer.write(response + content)
        await writer.drain()
        return True


def _without(head: bytes, name: bytes) -> bytes:
    lines = head.split(b"\r\n")
    return b"\r\n".join(line for line in lines if not line.lower().startswith(name + b":"))


async def _body(head: bytes, reader: asyncio.StreamReader) -> bytes:
    """Read the body that follows a head, as transmitted."""
    lines = (line.partition(b":") for line in head.lower().split(b"\r\n")[1:])
    fields = {name.strip(): value.strip() for name, _, value in lines}
    if fields.get(b"transfer-encoding") != b"chunked":
        return await reader.readexactly(int(fields.get(b"content-length", b"0")))
    body, is_last = b"", False
    while not is_last:
        line = await reader.readline()
        size = int(line.split(b";")[0], 16)
        is_last = not size
        body += line + (await _trailer(reader) if is_last else await reader.readexactly(size + 2))
    return body


async def _trailer(reader: asyncio.StreamReader) -> bytes:
    lines = [await reader.readline()]
    while lines[-1].strip():
        lines.append(await reader.readline())
    return b"".join(lines)


def _error(method: str, status: str, code: str) -> bytes:
    text = f"<Error><Code>{code}</Code><Message>put in by a test</Message></Error>"
    head = f"HTTP/1.1 {status}\r\nContent-Type: application/xml\r\nContent-Length: {len(text)}"
    return f"{head}\r\n\r\n{'' if method == 'HEAD' else text}".encode()


@contextmanager
def fault_proxy(target_port: int) -> Iterator[FaultProxy]:
    """Run a proxy on 127.0.0.1 in front of `target_port`."""
    proxy = FaultProxy(target_port)
    proxy.start()
    try:
        yield proxy
    finally:
        proxy.stop()
