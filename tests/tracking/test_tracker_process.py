from __future__ import annotations

import sqlite3

from hypothesis import given
from hypothesis import strategies as st

from halftone.tracking.tracker_process import describe_error


def wrapped(inner: Exception) -> Exception:
    """Wrap an error in the way of MLflow, requests and urllib3."""
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


def test_root_cause_of_a_network_or_file_error_is_described() -> None:
    assert describe_error(wrapped(ConnectionRefusedError(111, "Connection refused"))) == (
        "[Errno 111] Connection refused"
    )
    assert describe_error(wrapped(TimeoutError())) == "TimeoutError"
    locked = sqlite3.OperationalError("database is locked")
    assert describe_error(wrapped(locked)) == "database is locked"


def test_other_errors_are_described_by_the_outermost_one() -> None:
    assert describe_error(wrapped(KeyError("inner"))) == (
        "API request to http://me:***@host/api failed with exception"
    )
    assert describe_error(ModuleNotFoundError("No module named 'mlflow'")) == (
        "No module named 'mlflow'"
    )


@given(st.text())
def test_description_is_one_short_line(text: str) -> None:
    description = describe_error(ValueError(text))
    assert 0 < len(description) <= 300
    assert len(description.splitlines()) == 1
