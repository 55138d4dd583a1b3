from __future__ import annotations

import sqlite3

from hypothesis import given
from hypothesis import strategies as st

from halftone.tracking.tracker_process import describe_error


def wrapped(inner: Exception) -> Exception:
    """An error as MLflow, requests and urllib3 hand one on."""
    try:
        try:
            raise inner
        except Exception:
            raise ValueError("HTTPConnectionPool(host=..., port=1): Max retries") from None
    except ValueError as error:
        outer = RuntimeError("API request to http://me:pa55@host/api failed with exception")
        outer.__context__ = error
        error.__context__ = inner
        return outer


def test_what_is_behind_an_error_of_the_network_or_a_file_is_told() -> None:
    assert describe_error(wrapped(ConnectionRefusedError(111, "Connection refused"))) == (
        "[Errno 111] Connection refused"
    )
    assert describe_error(wrapped(TimeoutError())) == "TimeoutError"
    locked = sqlite3.OperationalError("database is locked")
    assert describe_error(wrapped(locked)) == "database is locked"


def test_else_the_last_word_counts() -> None:
    assert describe_error(wrapped(KeyError("inner"))) == (
        "API request to http://me:***@host/api failed with exception"
    )
    assert describe_error(ModuleNotFoundError("No module named 'mlflow'")) == (
        "No module named 'mlflow'"
    )


@given(st.text())
def test_it_is_one_short_line(text: str) -> None:
    said = describe_error(ValueError(text))
    assert 0 < len(said) <= 300
    assert len(said.splitlines()) == 1
