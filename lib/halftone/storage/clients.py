"""The clients of the stores behind URLs: what they are told, and what their errors mean."""

from __future__ import annotations

import json
import os
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from functools import cache
from typing import Any

import fsspec

from halftone.errors import RunError

# Stores of which another host is another file system.
_PROTOCOLS_WITH_HOST = {"hdfs", "webhdfs", "abfs", "abfss"}
# botocore's own 10 connections would hold back a chunk of files that is read at once.
_S3_CLIENT_DEFAULTS = {"max_pool_connections": 64}
# Who raises errors that are a store's, besides OSError.
_CLIENT_PACKAGES = {
    *("aiobotocore", "aiohttp", "azure", "botocore", "fsspec", "gcsfs", "google", "requests"),
}
# What names a file and not the store's state.
_FILE_ERRORS = (FileNotFoundError, FileExistsError, IsADirectoryError, NotADirectoryError)
# Words in errors of other kinds that mean a refusal.
_REFUSAL_WORDS = ("AccessDenied", "Credential", "Forbidden", "InvalidAccessKeyId", "NoAuthToken")
# Protocols that `use` was told of.
_configured_protocols: set[str] = set()


class StoreError(RunError):
    """A store refuses, or does not answer, for good: this is of no single file."""


def set_options(options: Mapping[Any, Mapping[str, Any]]) -> None:
    """Open stores with these options from now on, here and in processes that start later.

    They are fsspec's own settings, so that all who open a URL by fsspec get them.

    Args:
        options: by protocol, what fsspec's client takes; holds no credentials.
    """
    for protocol, own in options.items():
        fsspec.config.conf.setdefault(protocol, {}).update(own)
        name = _variable_name(protocol)
        # A setting of the environment would win over this one in a process that starts later.
        for key in own:
            os.environ.pop(f"{name}_{key.upper()}", None)
        before = json.loads(os.environ.get(name) or "{}")
        os.environ[name] = json.dumps({**before, **own}, sort_keys=True)
        _configured_protocols.add(protocol)
    _open_client.cache_clear()


def client_environment() -> dict[str, str]:
    """What a process elsewhere needs in its environment, to open stores as this one does."""
    return {
        _variable_name(protocol): os.environ[_variable_name(protocol)]
        for protocol in sorted(_configured_protocols)
    }


def _variable_name(protocol: str) -> str:
    return f"FSSPEC_{protocol.upper()}"


def open_filesystem(url: str) -> tuple[Any, str]:
    """Return fsspec's file system for `url`, and the path in it."""
    protocol, _, rest = url.partition("://")
    with translate_errors(url):
        filesystem = _open_client(
            protocol, rest.split("/")[0] if protocol in _PROTOCOLS_WITH_HOST else ""
        )
    return filesystem, filesystem._strip_protocol(url).rstrip("/")


@cache
def _open_client(protocol: str, host: str) -> Any:
    """One client for all threads of a process; fsspec alone would make one for each."""
    # What a listing said is not remembered: other processes write, and are waited for.
    options: dict[str, Any] = {"use_listings_cache": False}
    if protocol == "s3":
        given = fsspec.config.conf.get("s3", {}).get("config_kwargs", {})
        options["config_kwargs"] = {**_S3_CLIENT_DEFAULTS, **given}
    filesystem, _ = fsspec.core.url_to_fs(f"{protocol}://{host}", **options)
    return filesystem


@contextmanager
def translate_errors(url: str) -> Iterator[None]:
    """Say in our words what a store's error in the body means, unless it is of the file alone.

    fsspec and the clients below it have tried several times before an error gets here.

    Raises:
        StoreError: the store refuses, or does not answer.
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
    """Whether a store raised this, and not of a single file that is not there."""
    if isinstance(error, _FILE_ERRORS):
        return False
    return isinstance(error, OSError) or type(error).__module__.split(".")[0] in _CLIENT_PACKAGES


def to_store_error(url: str, error: BaseException) -> StoreError:
    text = " ".join(str(error).split()) or type(error).__name__
    kinds = f"{type(error).__name__} {type(error.__cause__).__name__} {text}"
    if isinstance(error, PermissionError) or any(kind in kinds for kind in _REFUSAL_WORDS):
        return StoreError(
            f"{url}: the store{_endpoint_text(url)} refuses: {text}; check the credentials and what they "
            "may do (docs/storage.md says where they are looked for)"
        )
    return StoreError(
        f"{url}: the store{_endpoint_text(url)} does not answer as it should: {text}; check "
        "storage.options and the network, and once it answers run the same command again to go on"
    )


def _endpoint_text(url: str) -> str:
    protocol = url.partition("://")[0]
    endpoint = fsspec.config.conf.get(protocol, {}).get("endpoint_url")
    return f" at {endpoint}" if endpoint else ""
