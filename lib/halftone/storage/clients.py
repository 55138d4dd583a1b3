"""The clients of remote stores: their options and the translation of their errors."""

from __future__ import annotations

import json
import os
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from functools import cache
from typing import Any

import fsspec

from halftone.errors import InputError, MissingPackageError, RunError
from halftone.storage.object_store import has_object_store

# Protocols for which each host is a file system of its own.
_AZURE_PROTOCOLS = ("abfs", "abfss", "az")
_PROTOCOLS_WITH_HOST = {"hdfs", "webhdfs", *_AZURE_PROTOCOLS}
# botocore's default of 10 connections is too low for a chunk of files that is read at once.
_S3_CLIENT_DEFAULTS = {"max_pool_connections": 64}
# The client of each protocol, and the extra of the wheel that installs it.
_CLIENTS = {
    "s3": ("s3fs", "s3"),
    "gs": ("gcsfs", "gcs"),
    **dict.fromkeys(_AZURE_PROTOCOLS, ("adlfs", "azure")),
    "hdfs": ("hdfs-native", "hdfs"),
    "webhdfs": ("requests", "hdfs"),
}
# Packages whose exceptions are errors of a store, besides OSError.
_CLIENT_PACKAGES = {
    *("aiobotocore", "aiohttp", "azure", "botocore", "fsspec", "gcsfs", "google", "requests"),
}
# Errors of a single file, not of the store.
_FILE_ERRORS = (FileNotFoundError, FileExistsError, IsADirectoryError, NotADirectoryError)
# Words that mark other exceptions as a denied access.
_ACCESS_DENIED_WORDS = (
    *("AccessDenied", "Credential", "Forbidden", "InvalidAccessKeyId", "NoAuthToken"),
    *("Authenticat", "Authoriz", "Unauthorized"),
)
# Protocols with options set by `set_options`.
_configured_protocols: set[str] = set()
_PREFIX = "FSSPEC_"  # of the variables that fsspec reads


class StoreError(RunError):
    """A store denies access or does not respond, even after retries; no single file is at fault."""


class AccessDeniedError(StoreError):
    """A store denies access."""


def set_options(options: Mapping[Any, Mapping[str, Any]]) -> None:
    """Set client options for this process and for processes that it starts later.

    They become settings of fsspec, so they apply to all code that opens a URL with fsspec.

    Args:
        options: by protocol, arguments of fsspec's client, without credentials.
    """
    for protocol, client_options in options.items():
        fsspec.config.conf.setdefault(protocol, {}).update(client_options)
        name = _variable_name(protocol)
        # In a process that starts later, a variable for a single option would take precedence.
        for key in client_options:
            os.environ.pop(f"{name}_{key.upper()}", None)
        previous = json.loads(os.environ.get(name) or "{}")
        os.environ[name] = json.dumps({**previous, **client_options}, sort_keys=True)
        _configured_protocols.add(protocol)
    _open_client.cache_clear()


def client_environment() -> dict[str, str]:
    """Return the environment variables that give another process the same client options."""
    return {
        _variable_name(protocol): os.environ[_variable_name(protocol)]
        for protocol in sorted(_configured_protocols)
    }


def apply_client_environment(environment: Mapping[str, str]) -> None:
    """Give this process the client options of the one whose `client_environment` this is.

    fsspec reads the variables only when it is imported, and a worker may have imported it before.
    """
    for name, value in environment.items():
        protocol = name.removeprefix(_PREFIX).lower()
        if os.environ.get(name) != value or protocol not in _configured_protocols:
            os.environ[name] = value
            fsspec.config.conf[protocol] = json.loads(value)
            _configured_protocols.add(protocol)
            _open_client.cache_clear()


def _variable_name(protocol: str) -> str:
    return f"{_PREFIX}{protocol.upper()}"


def open_filesystem(url: str) -> tuple[Any, str]:
    """Return fsspec's file system for the file or folder `url`, and the path in it.

    The path has no slash at its end; `open_files` keeps it.
    """
    filesystem, paths = open_files([url])
    return filesystem, paths[0].rstrip("/")


def open_files(urls: Sequence[str]) -> tuple[Any, list[str]]:
    """Return fsspec's file system for the files `urls` of one store, and their paths in it.

    Raises:
        InputError: the client of the store is not installed, or does not take its options.
        StoreError: the store denies access or does not respond.
    """
    protocol, _, rest = urls[0].partition("://")
    host = rest.split("/")[0] if protocol in _PROTOCOLS_WITH_HOST else ""
    try:
        with translate_errors(urls[0]):
            filesystem = _open_client(protocol, host)
    except ImportError:
        if protocol not in _CLIENTS:
            raise
        raise MissingPackageError(urls[0], *_CLIENTS[protocol]) from None
    except InputError:  # which is a ValueError
        raise
    except (TypeError, ValueError) as error:
        raise InputError(_describe_client_error(urls[0], error)) from error
    if has_object_store(urls[0]):  # keys are opaque
        paths = [url.partition("://")[2] for url in urls]
        if protocol in _PROTOCOLS_WITH_HOST:  # container@account
            paths = [filesystem._strip_protocol(url) for url in urls]
        return filesystem, paths
    return filesystem, [filesystem._strip_protocol(url) for url in urls]


def _describe_client_error(url: str, error: Exception) -> str:
    """Describe a mistake in the options of a client."""
    protocol = url.partition("://")[0]
    text = " ".join(str(error).split())
    names = ", ".join(fsspec.config.conf.get(protocol, {})) or "none are set"
    return (
        f"{url}: the client of {protocol}:// cannot be opened: {text}; correct "
        f"storage.options.{protocol} ({names})"
    )


@cache
def _open_client(protocol: str, host: str) -> Any:
    """Open one client for all threads of the process; fsspec alone would open one per thread."""
    # No cache of listings: other processes write files, and this one polls for them.
    options: dict[str, Any] = {"use_listings_cache": False}
    if protocol == "s3":
        config_kwargs = fsspec.config.conf.get("s3", {}).get("config_kwargs", {})
        options["config_kwargs"] = {**_S3_CLIENT_DEFAULTS, **config_kwargs}
        from halftone.storage.s3 import S3Store  # importing s3fs takes a second

        store = S3Store(**options)
        # Otherwise the first call would do it, whose errors may be those of anything.
        store.connect()
        return store
    if protocol == "webhdfs":
        return _open_webhdfs(f"{protocol}://{host}", options)
    if protocol == "gs":
        from halftone.storage.gcs import GcsStore, default_options

        return GcsStore(**default_options(), **options)
    if protocol in _AZURE_PROTOCOLS:
        from halftone.storage.azure import AzureStore

        account = AzureStore._get_kwargs_from_urls(f"abfs://{host}")
        # Its arguments, the key of the cache, do not have what comes from the environment.
        return AzureStore(**account, **options, skip_instance_cache=True)
    if protocol == "hdfs":
        from halftone.storage.hdfs import HdfsStore

        return HdfsStore(host, **options, **fsspec.config.conf.get("hdfs", {}))
    filesystem, _ = fsspec.core.url_to_fs(f"{protocol}://{host}", **options)
    return filesystem


def _open_webhdfs(url: str, options: dict[str, Any]) -> Any:
    from halftone.storage.webhdfs import WebHdfsStore  # importing requests takes time

    try:
        return WebHdfsStore(**WebHdfsStore._get_kwargs_from_urls(url), **options)
    except ImportError as error:
        raise InputError(
            f"{url}: {error}; storage.options.webhdfs.kerberos needs it: pip install "
            "requests-kerberos"
        ) from None


@contextmanager
def translate_errors(url: str) -> Iterator[None]:
    """Translate client errors in the body to StoreError; let errors of a single file pass.

    fsspec and its clients retry several times before they raise an error.

    Raises:
        StoreError: the store denies access or does not respond.
    """
    try:
        yield
    except _FILE_ERRORS:
        raise
    except Exception as error:
        if not is_store_error(error):
            raise
        raise to_store_error(url, error) from error


def is_store_error(error: BaseException) -> bool:
    """Whether this is an error of a store, and not of a single file."""
    if isinstance(error, _FILE_ERRORS):
        return False
    return isinstance(error, OSError) or type(error).__module__.split(".")[0] in _CLIENT_PACKAGES


def is_not_implemented(error: BaseException) -> bool:
    """Whether a store does not know a feature of a request, such as the header If-None-Match."""
    causes = (error, error.__cause__, error.__cause__ and error.__cause__.__cause__)
    return any("NotImplemented" in f"{cause!r}" for cause in causes)


def to_store_error(url: str, error: BaseException) -> StoreError:
    """Convert a client's error to a StoreError with advice for the user."""
    text = " ".join(str(error).split()) or type(error).__name__
    searched = f"{type(error).__name__} {type(error.__cause__).__name__} {text}"
    if type(error).__module__.startswith("azure."):  # numbers and the answer's XML follow
        text = str(error).partition("\n")[0]
    store = f"the store{_endpoint_text(url)}"
    if isinstance(error, PermissionError) or any(word in searched for word in _ACCESS_DENIED_WORDS):
        return AccessDeniedError(
            f"{url}: {store} denies access: {text}; check the credentials and their permissions "
            "(docs/how-to/storage.md lists where credentials are looked up)"
        )
    return StoreError(
        f"{url}: {store} does not respond correctly: {text}; check storage.options and the "
        "network, then run the same command again to go on"
    )


def _endpoint_text(url: str) -> str:
    protocol = url.partition("://")[0]
    endpoint = fsspec.config.conf.get(protocol, {}).get("endpoint_url")
    return f" at {endpoint}" if endpoint else ""
