"""Sessions of Spark Connect: the JVM is a server's, and only DataFrames are sent to it."""

from __future__ import annotations

import os
import socket
import sys
from collections.abc import Mapping
from typing import Any, Optional, cast
from urllib.parse import urlsplit

from pyspark.errors import PySparkException
from pyspark.sql import SparkSession

from halftone.errors import InputError

_DEFAULT_PORT = 15002
_CONNECT_SECS = 10.0
# PySpark sets this variable for its first session of Spark Connect, and then starts no classic one.
_CONNECT_MODE = "SPARK_CONNECT_MODE_ENABLED"
_was_connect_mode = False  # before the session was started


def is_connect(session: SparkSession) -> bool:
    """Return whether this is a session of Spark Connect, which has no JVM in this process."""
    return ".connect." in type(session).__module__


def find_connect_session() -> Optional[SparkSession]:
    """Return the session of Spark Connect that somebody else started, or None."""
    module = sys.modules.get("pyspark.sql.connect.session")
    if module is None:  # importing it would need grpcio
        return None
    sessions: Any = module.SparkSession
    session = sessions.getActiveSession() or sessions._default_session
    return None if session is None or session.is_stopped else cast(SparkSession, session)


def server_url(remote: Optional[str]) -> Optional[str]:
    """Return the server to connect to, or None for classic Spark.

    Args:
        remote: setting spark.remote.
    """
    return remote or os.environ.get("SPARK_REMOTE") or None


def start_connect_session(url: str, name: str, conf: Mapping[str, str]) -> SparkSession:
    """Return a new session on the server `url`.

    Args:
        name: application name, in the server's UI.
        conf: settings of the session.

    Raises:
        InputError: the server does not answer, or refuses a setting.
    """
    global _was_connect_mode
    _check_server(url)
    _was_connect_mode = _CONNECT_MODE in os.environ
    try:
        session = SparkSession.builder.remote(url).appName(name).getOrCreate()
    except (PySparkException, ImportError, RuntimeError) as error:
        _restore_mode()
        raise InputError(f"no Spark Connect session on {url}: {first_line(error)}") from error
    for key, value in conf.items():
        try:
            session.conf.set(key, value)
        except PySparkException as error:
            stop_connect_session(session)
            raise InputError(
                f"spark.conf: {url} does not accept {key}={value}: {first_line(error)}; remove it "
                "from the config, or set it where the server is started"
            ) from error
    return session


def stop_connect_session(session: SparkSession) -> None:
    """Close a session that `start_connect_session` returned; the server goes on."""
    session.stop()
    _restore_mode()


def _restore_mode() -> None:
    if not _was_connect_mode:
        os.environ.pop(_CONNECT_MODE, None)


def _check_server(url: str) -> None:
    """Connect to the server once: PySpark would try again for minutes if there is none."""
    parts = urlsplit(url)
    if parts.scheme != "sc" or not parts.hostname:
        return  # such as the socket that Databricks puts into SPARK_REMOTE
    try:
        address = (parts.hostname, parts.port or _DEFAULT_PORT)
        socket.create_connection(address, timeout=_CONNECT_SECS).close()
    except (OSError, ValueError) as error:
        raise InputError(
            f"there is no Spark Connect server at {url}: {error}; start it, or correct the setting "
            "spark.remote or the variable SPARK_REMOTE"
        ) from error


def first_line(error: Exception) -> str:
    """Return what an error says; Spark adds a JVM's stack below."""
    lines = str(error).strip().splitlines()
    return lines[0] if lines else type(error).__name__
