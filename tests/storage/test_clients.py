"""Options of the clients of remote stores, from the config and from the environment."""

from __future__ import annotations

import importlib
import json
import subprocess
import sys
from collections.abc import Iterator
from typing import Any

import fsspec
import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st
from pyspark.sql import SparkSession

from halftone import storage
from halftone.config import ConfigError, SparkSettings, config_from_mapping
from halftone.errors import InputError, RunError
from halftone.spark.frames import map_rows
from halftone.spark.session import spark_session
from halftone.storage import clients, hdfs_files


@pytest.fixture(autouse=True)
def restore_options() -> Iterator[None]:
    """Undo the changes of `clients.set_options`."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setitem(fsspec.config.conf, "s3", {})
        patch.setattr(clients, "_configured_protocols", set())
        patch.setenv("FSSPEC_S3", "{}")
        yield
    clients._open_client.cache_clear()


def checked_options(options: dict[str, Any]) -> Any:
    """The options after the config's checks."""
    raw = {"storage": {"options": options}}
    return config_from_mapping(raw, source="run.yaml").storage.options


def test_options_reach_the_client() -> None:
    s3_options = {"endpoint_url": "http://store:9000", "config_kwargs": {"read_timeout": 7}}
    clients.set_options(checked_options({"s3": s3_options}))
    client, path = clients.open_filesystem("s3://bucket/a/")
    assert path == "bucket/a"
    assert client.endpoint_url == "http://store:9000"
    assert client.config_kwargs == {"read_timeout": 7, "max_pool_connections": 64}
    assert not client.dircache.use_listings_cache


def test_options_reach_processes_that_start_later(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("FSSPEC_S3_ENDPOINT_URL", "http://older")
    clients.set_options({"s3": {"endpoint_url": "http://store:9000"}})
    code = "import fsspec; print(fsspec.filesystem('s3').endpoint_url)"
    command = [sys.executable, "-c", code]
    process = subprocess.run(command, capture_output=True, text=True, check=True)
    assert process.stdout == "http://store:9000\n"
    assert clients.client_environment() == {"FSSPEC_S3": '{"endpoint_url": "http://store:9000"}'}


def test_options_reach_the_workers_of_an_existing_session(spark: SparkSession) -> None:
    schema = pa.schema([pa.field("endpoint", pa.string())])

    def endpoint(id: int) -> list[tuple[str]]:
        import fsspec as worker_fsspec  # imported in the worker

        return [(str(worker_fsspec.filesystem("s3").endpoint_url),)]

    clients.set_options({"s3": {"endpoint_url": "http://store:9001"}})
    with spark_session("another", SparkSettings()) as session:
        assert session is spark
        rows = map_rows(session.range(0, 2, 1, 2), endpoint, schema).collect()
    assert [row.endpoint for row in rows] == ["http://store:9001"] * 2


def test_options_replace_those_of_an_earlier_session() -> None:
    for url in ("http://store:1", "http://store:2"):
        clients.apply_client_environment({"FSSPEC_S3": json.dumps({"endpoint_url": url})})
        client, _ = clients.open_filesystem("s3://bucket/a")
        assert client.endpoint_url == url
        assert clients.open_filesystem("s3://bucket/b")[0] is client
    clients.apply_client_environment({"FSSPEC_S3": json.dumps({"anon": True})})
    client, _ = clients.open_filesystem("s3://bucket/a")
    assert (client.endpoint_url, client.anon) == (None, True)


@pytest.mark.parametrize(
    ("protocol", "options", "key", "chain"),
    [
        ("s3", {"key": "hidden"}, "key", "AWS_ACCESS_KEY_ID"),
        ("s3", {"secret": "hidden"}, "secret", "AWS_PROFILE"),
        ("s3", {"client_kwargs": {"aws_session_token": "hidden"}}, None, "machine's role"),
        ("s3", {"endpoint_url": "https://me:hidden@store"}, "endpoint_url", "AWS_PROFILE"),
        ("gs", {"token": {"private_key": "hidden"}}, "token", "GOOGLE_APPLICATION_CREDENTIALS"),
        ("abfs", {"account_key": "hidden"}, "account_key", "AZURE_STORAGE_ACCOUNT_KEY"),
        ("abfs", {"sas_token": "hidden"}, "sas_token", "AZURE_STORAGE_ACCOUNT_KEY"),
        ("abfs", {"connection_string": "hidden"}, "connection_string", "machine's identity"),
        ("webhdfs", {"password": "hidden"}, "password", "the environment of its own client"),
    ],
)
def test_credentials_in_the_options_are_an_error_and_not_shown(
    protocol: str, options: dict[str, Any], key: str, chain: str
) -> None:
    with pytest.raises(ConfigError) as raised:
        checked_options({protocol: options})
    message = str(raised.value)
    name = key or "client_kwargs.aws_session_token"
    assert f"storage: options.{protocol}.{name} contains a credential" in message
    assert chain in message
    assert "hidden" not in message


@given(
    st.sampled_from(["secret", "password", "sas_token", "aws_secret_access_key", "token"]),
    st.lists(st.sampled_from(["client_kwargs", "s3", "extra"]), max_size=3),
)
def test_a_credential_is_detected_at_any_depth(key: str, parents: list[str]) -> None:
    nested: dict[str, Any] = {key: "hidden"}
    for name in parents:
        nested = {name: nested}
    with pytest.raises(ConfigError, match="contains a credential"):
        checked_options({"s3": nested})


def test_options_without_credentials_are_accepted() -> None:
    options = {
        "s3": {
            "anon": True,
            "profile": "work",
            "s3_additional_kwargs": {"ServerSideEncryption": "aws:kms", "SSEKMSKeyId": "arn:1"},
        },
        "abfs": {"account_name": "pictures", "anon": False},
    }
    assert checked_options(options) == options


def test_an_unknown_protocol() -> None:
    with pytest.raises(ConfigError) as raised:
        checked_options({"s4": {}})
    assert "must be 's3', 'gs', 'abfs', 'hdfs', 'webhdfs' or 'web'" in str(raised.value)


def test_errors_of_other_kinds_pass() -> None:
    with pytest.raises(FileNotFoundError), clients.translate_errors("s3://bucket/a"):
        raise FileNotFoundError("a")
    with pytest.raises(ZeroDivisionError), clients.translate_errors("s3://bucket/a"):
        json.loads(str(1 / 0))
    with (
        pytest.raises(RunError, match="the store denies access: no; check the credentials"),
        clients.translate_errors("s3://bucket/a"),
    ):
        raise PermissionError("no")


@pytest.mark.parametrize(
    ("url", "message"),
    [
        ("s4://b/x", "s4://b/x: unknown scheme s4://; did you mean s3://? Known are s3://, "),
        ("s3:/b/x y", "s3:/b/x y: has one slash too few; write s3://b/x y"),
        ("webhdfs:/h:1/x", "webhdfs:/h:1/x: has one slash too few; write webhdfs://h:1/x"),
    ],
)
def test_a_wrong_prefix_is_named(url: str, message: str) -> None:
    with pytest.raises(InputError) as caught:
        storage.normalise_url(url)
    assert str(caught.value).startswith(message)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"endpoint_url": "localhost:9000"}, "Invalid endpoint: localhost:9000"),
        ({"fast": True}, "AioSession.__init__() got an unexpected keyword argument 'fast'"),
        ({"config_kwargs": {"retrys": 3}}, "Got unexpected keyword argument 'retrys'"),
    ],
)
def test_a_wrong_option_of_a_client_is_one_of_the_input(
    options: dict[str, Any], message: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(fsspec.config.conf, "s3", options)
    clients._open_client.cache_clear()
    try:
        with pytest.raises(InputError) as caught:
            storage.read_bytes("s3://b/x")
    finally:
        clients._open_client.cache_clear()
    (name,) = options
    assert str(caught.value) == (
        f"s3://b/x: the client of s3:// cannot be opened: {message}; correct storage.options.s3 "
        f"({name})"
    )


@pytest.mark.parametrize(
    ("url", "options", "address", "user"),
    [
        ("webhdfs://host/a b", {}, "http://host:9870/webhdfs/v1", "of the environment"),
        ("webhdfs://host:14000/a b", {"user": "me"}, "http://host:14000/webhdfs/v1", "me"),
        ("webhdfs://me@host/a b", {"use_https": True}, "https://host:9870/webhdfs/v1", "me"),
    ],
)
def test_the_address_and_user_of_hdfs(
    url: str, options: dict[str, Any], address: str, user: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HADOOP_USER_NAME", "of the environment")
    monkeypatch.setitem(fsspec.config.conf, "webhdfs", options)
    client, path = clients.open_filesystem(url)
    assert (client.url, client.pars, path) == (address, {"user.name": user}, "/a b")


def test_kerberos_without_its_package(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(fsspec.config.conf, "webhdfs", {"kerberos": True})
    monkeypatch.setitem(sys.modules, "requests_kerberos", None)
    with pytest.raises(InputError, match="needs it: pip install requests-kerberos"):
        storage.read_bytes("webhdfs://host/x")


@pytest.mark.parametrize(
    ("url", "options", "message"),
    [
        ("hdfs://host/x", {"user": "me"}, "user is no setting of Hadoop, such as dfs.client.use."),
        (
            "hdfs:///x",
            {},
            "no NameNode is given, nor fs.defaultFS in HADOOP_CONF_DIR; write hdfs://",
        ),
    ],
)
def test_mistakes_in_the_settings_of_hadoop(
    url: str, options: dict[str, Any], message: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HADOOP_USER_NAME", "me")
    monkeypatch.delenv("HADOOP_CONF_DIR", raising=False)
    monkeypatch.setitem(fsspec.config.conf, "hdfs", options)
    clients._open_client.cache_clear()
    with pytest.raises(InputError, match=message):
        storage.read_bytes(url)


def test_hdfs_without_its_package(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "hdfs_native", None)
    monkeypatch.delitem(sys.modules, "halftone.storage.hdfs", raising=False)
    clients._open_client.cache_clear()
    with pytest.raises(InputError, match=r"hdfs://h/x needs hdfs-native, .*'halftone\[hdfs\]'$"):
        storage.read_bytes("hdfs://h/x")


@pytest.mark.parametrize(
    ("text", "error"),
    [
        (
            'RPCError("org.apache.hadoop.security.AccessControlException", '
            '"no \\"\\u{fc}\\"\\n\\tat java")',
            PermissionError('/x: no "ü"'),
        ),
        (
            'FatalRPCError("org.apache.hadoop.ipc.RetriableException", "later")',
            hdfs_files.TransientError("/x: later"),
        ),
        ('DataTransferError("cut")', hdfs_files.TransientError('/x: DataTransferError("cut")')),
        ("NoSASLMechanism", PermissionError("/x: NoSASLMechanism")),
        ("BlocksNotFound(1)", OSError("/x: BlocksNotFound(1)")),
    ],
)
def test_errors_of_the_client_of_hdfs(text: str, error: OSError) -> None:
    translated = importlib.import_module("halftone.storage.hdfs")._translate(text, "/x")
    assert (type(translated), str(translated)) == (type(error), str(error))
