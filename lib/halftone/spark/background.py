"""Run an action of a DataFrame in a thread, so that it can be waited for and cancelled."""

from __future__ import annotations

import secrets
from concurrent.futures import wait
from typing import Callable, Generic, Optional, TypeVar

from pyspark import InheritableThread, SparkContext
from pyspark.sql import SparkSession

from halftone.spark.connect import is_connect
from halftone.system.thread_call import call_in_thread

Result = TypeVar("Result")


class BackgroundAction(Generic[Result]):
    """An action that runs in a thread of its own.

    Args:
        action: runs Spark jobs in the thread that calls it.
        description: of the jobs in plain words, for Spark's UI.
    """

    def __init__(
        self, session: SparkSession, action: Callable[[], Result], description: str
    ) -> None:
        self._session, self._action = session, action
        self._description = f"halftone: {description}"
        self._group = f"halftone-{secrets.token_hex(8)}"
        self._future = call_in_thread(self._run, InheritableThread)

    def _run(self) -> Result:
        # Both apply to the jobs of this thread alone.
        if is_connect(self._session):
            self._session.addTag(self._group)
        else:
            SparkContext.getOrCreate().setJobGroup(self._group, self._description)
        return self._action()

    def result(self) -> Result:
        """Wait for the end of the action; return its result, or raise its error."""
        return self._future.result()

    def wait(self, secs: float) -> bool:
        """Wait for the end of the action, at most `secs`; return whether it has ended."""
        return bool(wait([self._future], secs).done)

    def error(self) -> Optional[BaseException]:
        """Return the error of the action; None if it has succeeded or still runs."""
        return self._future.exception() if self._future.done() else None

    def cancel(self) -> None:
        """Ask Spark to end the jobs of the action, which ends with an error then."""
        if is_connect(self._session):
            self._session.interruptTag(self._group)
        else:
            SparkContext.getOrCreate().cancelJobGroup(self._group)
