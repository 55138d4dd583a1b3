"""Sessions on a real Spark Connect server, in processes of their own as jobs have them."""

from __future__ import annotations

import os
import subprocess
import sys

import pytest

from connect_server import ConnectServer
from halftone.config import ConfigError, config_from_mapping
from halftone.errors import InputError
from halftone.spark import connect


def run(code: str, **environment: str) -> list[str]:
    """Run Python code; return the lines of its standard output."""
    process = subprocess.run(
        [sys.executable, "-c", code],
        capture_output=True,
        text=True,
        timeout=120,
        env={**os.environ, **environment},
    )
    assert process.returncode == 0, process.stderr
    return process.stdout.splitlines()


NEW_SESSIONS = """
import os
import pyarrow as pa
from pyspark import SparkContext
from halftone.config import SparkSettings
from halftone.spark.frames import map_tables
from halftone.spark.session import num_cores, spark_session

TEXT = pa.schema([pa.field("text", pa.string())])

def locate_package(tables):
    import halftone
    for _ in tables:
        pass
    yield pa.table([[halftone.__file__]], schema=TEXT)

for name in ("first", "second"):
    settings = SparkSettings(remote=os.environ["URL"], conf={"spark.sql.shuffle.partitions": "5"})
    with spark_session(name, settings) as session:
        print(num_cores(session), session.conf.get("spark.sql.shuffle.partitions"))
        (row,) = map_tables(session.range(0, 1, 1, 1), locate_package, TEXT).collect()
        print(row.text.endswith("/halftone.zip/halftone/__init__.py"))
        with spark_session("other", SparkSettings()) as same:
            print(same is session)
        print(session.range(3).count(), session.is_stopped)
    print(session.is_stopped)
print(SparkContext._gateway, "SPARK_CONNECT_MODE_ENABLED" in os.environ)
"""


def test_new_sessions_have_the_package_and_are_closed(connect_server: ConnectServer) -> None:
    lines = ["2 5", "True", "True", "3 False", "True"]
    assert run(NEW_SESSIONS, URL=connect_server.url) == [*lines, *lines, "None False"]


BORROWED = """
from pyspark.sql import SparkSession
from halftone.config import SparkSettings
from halftone.errors import InputError
from halftone.spark.session import spark_session
from halftone.spark.slots import wait_for_slots
spark = SparkSession.builder.getOrCreate()
for _ in range(2):
    with spark_session("job", SparkSettings(master="local[1]")) as session:
        print(session is spark, session.range(3).count())
        wait_for_slots(session, 2)
        try:
            wait_for_slots(session, 3)
        except InputError as error:
            print(error)
print(spark.range(4).count())
"""
TOO_FEW = (
    "train.ranks is 3, but Spark has 2 slots to run them in at once; use train.ranks=2, or give "
    "Spark more executors or cores"
)


def test_a_session_of_the_environment_is_used_and_not_closed(connect_server: ConnectServer) -> None:
    lines = run(BORROWED, SPARK_REMOTE=connect_server.url)
    assert lines == ["True 3", TOO_FEW, "True 3", TOO_FEW, "4"]


def test_the_environment_names_the_server(
    connect_server: ConnectServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("SPARK_REMOTE", raising=False)
    assert connect.server_url(None) is None
    assert connect.server_url("sc://config") == "sc://config"
    monkeypatch.setenv("SPARK_REMOTE", "sc://environment")
    assert connect.server_url(None) == "sc://environment"
    assert connect.server_url("sc://config") == "sc://config"


def test_a_master_and_a_server_exclude_each_other() -> None:
    with pytest.raises(ConfigError, match="master is local and remote is sc://a, which exclude"):
        config_from_mapping({"spark": {"master": "local", "remote": "sc://a"}}, "test")


@pytest.mark.parametrize("url", ["spark://host:7077", "sc://", "host:15002"])
def test_the_config_names_a_server_by_its_url(url: str) -> None:
    with pytest.raises(ConfigError, match=r"spark\.remote"):
        config_from_mapping({"spark": {"remote": url}}, "test")


@pytest.mark.parametrize(
    ("url", "message"),
    [
        ("sc://127.0.0.1:1", "there is no Spark Connect server at sc://127.0.0.1:1: "),
        ("spark://host:7077", "no Spark Connect session on spark://host:7077: "),
        ("sc://host:port", "there is no Spark Connect server at sc://host:port: "),
    ],
)
def test_a_server_that_is_not_there_is_an_error_of_the_config(url: str, message: str) -> None:
    with pytest.raises(InputError) as caught:
        connect.start_connect_session(url, "name", {})
    assert message in str(caught.value)


REFUSED = """
import os
from halftone.config import SparkSettings
from halftone.errors import InputError
from halftone.spark.session import spark_session
settings = SparkSettings(remote=os.environ["URL"], conf={"spark.executor.memory": "1g"})
try:
    with spark_session("job", settings):
        pass
except InputError as error:
    print(error)
"""


def test_a_setting_that_only_the_server_may_have(connect_server: ConnectServer) -> None:
    (line,) = run(REFUSED, URL=connect_server.url)
    assert line.startswith(
        f"spark.conf: {connect_server.url} does not accept spark.executor.memory=1g: "
        "[CANNOT_MODIFY_CONFIG]"
    )
    assert line.endswith("remove it from the config, or set it where the server is started")
