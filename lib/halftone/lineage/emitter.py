"""Send the events in a thread, so that a server that does not answer delays no job."""

from __future__ import annotations

import logging
import os
from concurrent.futures import wait
from queue import SimpleQueue
from typing import Optional

from openlineage.client import OpenLineageClient
from openlineage.client.event_v2 import RunEvent
from openlineage.client.transport.http import HttpConfig, HttpTransport

from halftone.lineage.warning import log_warning
from halftone.system.thread_call import call_in_thread
from halftone.tracking.tracker_process import describe_error

_REQUEST_TIMEOUT_SECS = 2.0  # of a server that only OPENLINEAGE_URL names
_CLOSE_TIMEOUT_SECS = 5.0


class Emitter:
    """Sends events in their order. A failure gives one warning, and no error.

    Raises:
        Exception: the configuration of the client is wrong, in one of many types.
    """

    def __init__(self) -> None:
        self._client = _create_client()
        self._queue: SimpleQueue[Optional[RunEvent]] = SimpleQueue()
        self._has_warned = False
        self._done = call_in_thread(self._send_events)

    def send(self, event: RunEvent) -> None:
        self._queue.put(event)

    def close(self) -> None:
        """Wait until all events are sent, a few seconds at most."""
        self._queue.put(None)
        if wait([self._done], _CLOSE_TIMEOUT_SECS).not_done:
            self._warn(f"no answer within {_CLOSE_TIMEOUT_SECS:.0f} s")

    def _send_events(self) -> None:
        # urllib3 prints each retry, which is not the user's concern.
        logging.getLogger("urllib3.connectionpool").setLevel(logging.ERROR)
        while (event := self._queue.get()) is not None:
            try:
                self._client.emit(event)
            except Exception as error:
                self._warn(describe_error(error))
        self._client.close()

    def _warn(self, problem: str) -> None:
        if not self._has_warned:
            self._has_warned = True
            log_warning(problem)


def _create_client() -> OpenLineageClient:
    """Return the client of the user's configuration; with OPENLINEAGE_URL alone, an impatient one.

    By default, the client tries six times, with 5 s each.
    """
    client = OpenLineageClient()
    if (client.config.transport or {}).get("type"):
        return client
    settings = {
        "url": os.environ["OPENLINEAGE_URL"],
        "endpoint": os.environ.get("OPENLINEAGE_ENDPOINT", "api/v1/lineage"),
        "timeout": _REQUEST_TIMEOUT_SECS,
        "retry": {"total": 0},
    }
    key = os.environ.get("OPENLINEAGE_API_KEY")
    if key:
        settings["auth"] = {"type": "api_key", "apiKey": key}
    return OpenLineageClient(transport=HttpTransport(HttpConfig.from_dict(settings)))
