"""Call a function in a thread of its own, so that Ctrl-C in the main thread does not cut the call.

Threads are waited for through a future: Python 3.11 takes a thread for ended if Ctrl-C comes
during its `join`.
"""

from __future__ import annotations

import threading
from concurrent.futures import Future
from typing import Callable, TypeVar

Result = TypeVar("Result")


def call_in_thread(
    function: Callable[[], Result], thread_type: Callable[..., threading.Thread] = threading.Thread
) -> Future[Result]:
    """Start the call; the future gets its result, or the exception that it raises.

    Args:
        thread_type: makes the thread from `target` and `daemon`.
    """
    future: Future[Result] = Future()

    def call() -> None:
        try:
            future.set_result(function())
        except BaseException as error:
            future.set_exception(error)

    thread_type(target=call, daemon=True).start()
    return future
