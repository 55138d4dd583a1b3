"""Read files of web servers by URL: politely, and with an answer for each file, whatever fails.

A server that is gone, slow or unwilling gives an OSError for each of its files, so that a list of
the URLs of many hosts is read to its end. All limits are those of one process.
"""

from __future__ import annotations

import logging
import threading
import time
from collections import defaultdict
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import cache
from typing import Any, NamedTuple, Optional, Union
from urllib.parse import urlsplit
from urllib.robotparser import RobotFileParser

import fsspec

import halftone
from halftone.errors import MissingPackageError
from halftone.storage.local_files import too_large

PREFIXES = ("http://", "https://")
OPTIONS = "web"  # the protocol of storage.options
_THREADS = 32
_RETRIED = (429, 500, 502, 503, 504)
_MAX_RETRY_AFTER_SECS = 30.0
_BACKOFF_SECS = 0.5
# After so many requests in a row without an answer, a host is left alone for some time.
_DEAD_AFTER, _DEAD_SECS = 3, 60.0
_MAX_ROBOTS_BYTES = 500_000


class WebOptions(NamedTuple):
    """The options of storage.options.web."""

    user_agent: str = f"halftone/{halftone.__version__}"
    timeout_secs: float = 20.0  # of a connection, and of each wait for data
    retries: int = 2
    requests_per_host: int = 4  # at the same time
    ignore_robots: bool = False


class _HostState:
    """What is known of a host. The lock is held while its robots.txt is read."""

    def __init__(self) -> None:
        self.lock = threading.Lock()
        self.robots: Union[RobotFileParser, OSError, None] = None
        self.num_failed = 0  # requests in a row without an answer
        self.failed_at = 0.0

    def is_dead(self) -> bool:
        is_recent = time.monotonic() - self.failed_at < _DEAD_SECS
        return self.num_failed >= _DEAD_AFTER and is_recent

    def note(self, is_answered: bool) -> None:
        self.num_failed = 0 if is_answered else self.num_failed + 1
        self.failed_at = time.monotonic()


class WebReader:
    """Reads URLs with connections that are kept open.

    Raises:
        MissingPackageError: urllib3 is not installed.
    """

    def __init__(self, options: WebOptions) -> None:
        try:
            import urllib3
        except ImportError:
            raise MissingPackageError("http://", "urllib3", "http") from None
        # Each failure is the reason of an image's rejection; nobody needs a line for each retry.
        logging.getLogger("urllib3.connectionpool").setLevel(logging.ERROR)
        self._options = options
        self._hosts: dict[str, _HostState] = defaultdict(_HostState)
        self._errors = urllib3.exceptions

        class _Retry(urllib3.Retry):  # type: ignore[misc, unused-ignore]
            def get_retry_after(self, response: Any) -> Optional[float]:
                secs = super().get_retry_after(response)
                return None if secs is None else min(secs, _MAX_RETRY_AFTER_SECS)

        self._pools = urllib3.PoolManager(
            num_pools=256,
            maxsize=options.requests_per_host,
            block=True,  # more requests to a host wait
            headers={"User-Agent": options.user_agent},
            timeout=urllib3.Timeout(connect=options.timeout_secs, read=options.timeout_secs),
            retries=_Retry(
                total=options.retries,
                backoff_factor=_BACKOFF_SECS,
                status_forcelist=_RETRIED,
                raise_on_status=False,
            ),
        )

    def read(self, url: str, max_bytes: Optional[int]) -> Union[bytes, OSError]:
        """Return the bytes of a file, or why it cannot be read."""
        parts = urlsplit(url)
        host = f"{parts.scheme}://{parts.netloc}"
        state = self._hosts[host]
        if not self._options.ignore_robots:
            denied = self._ask_robots(state, host, url)
            if denied is not None:
                return denied
        return self._get(state, url, max_bytes)

    def _ask_robots(self, state: _HostState, host: str, url: str) -> Optional[OSError]:
        """Return why the robots.txt of a host denies a URL; None if it does not."""
        with state.lock:
            robots = state.robots
            if robots is None:
                robots = self._read_robots(state, host)
                # A host that gave no answer may give one later.
                state.robots = robots if state.num_failed == 0 else None
        if isinstance(robots, OSError):
            return robots
        if robots.can_fetch(self._options.user_agent, url):
            return None
        return PermissionError(
            f"{host}/robots.txt does not allow it; ask the owner, or set storage.options.web "
            "ignore_robots: true"
        )

    def _read_robots(self, state: _HostState, host: str) -> Union[RobotFileParser, OSError]:
        """Return the rules of a host: without a file all is allowed, as RFC 9309 says."""
        answer = self._get(state, f"{host}/robots.txt", _MAX_ROBOTS_BYTES)
        parser = RobotFileParser()
        if isinstance(answer, _HttpError) and 400 <= answer.status < 500:
            parser.parse([])
            return parser
        if isinstance(answer, OSError):
            return OSError(f"{host}/robots.txt cannot be read: {answer}")
        parser.parse(answer.decode("utf-8", "replace").splitlines())
        return parser

    def _get(self, state: _HostState, url: str, max_bytes: Optional[int]) -> Union[bytes, OSError]:
        if state.is_dead():
            return OSError(f"the host gave no answer to {state.num_failed} requests in a row")
        try:
            response = self._pools.request(
                "GET", url, preload_content=False, enforce_content_length=True
            )
        except self._errors.HTTPError as error:
            state.note(is_answered=False)
            return OSError(_describe(error))
        state.note(is_answered=True)
        try:
            if response.status != 200:
                return _HttpError(response.status, str(response.reason or ""))
            return _read_body(response, max_bytes)
        except self._errors.HTTPError as error:
            return OSError(_describe(error))
        finally:
            response.close()
            response.release_conn()


class _HttpError(OSError):
    def __init__(self, status: int, reason: str) -> None:
        super().__init__(f"HTTP {status} {reason}".strip())
        self.status = status


def _read_body(response: Any, max_bytes: Optional[int]) -> Union[bytes, OSError]:
    if max_bytes is None:
        return bytes(response.read())
    data = bytearray()
    for piece in response.stream(2**16):
        data += piece
        if len(data) > max_bytes:
            size = int(response.headers.get("Content-Length") or len(data))
            return too_large(size, max_bytes)
    return bytes(data)


def _describe(error: Exception) -> str:
    """Return the cause of an error in one line, without addresses of objects."""
    reason = getattr(error, "reason", None) or error
    text = " ".join(str(reason).split())
    return f"no answer: {text.rpartition('>: ')[2]}"


@cache
def _open_reader(options: WebOptions) -> WebReader:
    return WebReader(options)


def read_urls(urls: Sequence[str], max_bytes: Optional[int]) -> list[Union[bytes, OSError]]:
    """Read files at the same time, of any hosts.

    Args:
        max_bytes: a larger file gives an OSError.

    Returns:
        For each file its bytes, or an OSError that says why it cannot be read.

    Raises:
        MissingPackageError: urllib3 is not installed.
    """
    reader = _open_reader(WebOptions(**fsspec.config.conf.get(OPTIONS, {})))
    with ThreadPoolExecutor(min(_THREADS, len(urls))) as pool:
        return list(pool.map(lambda url: reader.read(url, max_bytes), urls))
