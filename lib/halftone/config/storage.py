"""Settings of the clients of object stores."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any, Literal

from pydantic import (
    Field,
    field_validator,
    model_validator,
)

from halftone.config.base import ConfigSection
from halftone.config.yaml_values import read_switch

# Names of options that hold credentials, at any depth, and patterns of values that do.
_CREDENTIAL_KEY = re.compile(
    r"(^|[._])(key|secret|token|pass(word|wd)?|username|credentials?|sas|connection_string)([._]|$)"
    r"|access_?key|ssecustomerkey",
    re.IGNORECASE,
)
_SECRET_TEXT = re.compile(r"://[^/@]*:[^/@]*@|AccountKey=|SharedAccessSignature=|[?&]sig=")
# The types of an option, the least number, and what it must be in words.
_WEB_OPTIONS: dict[str, tuple[tuple[type, ...], float, str]] = {
    "user_agent": ((str,), 0, "text"),
    "timeout_secs": ((int, float), 0.1, "a number of seconds from 0.1"),
    "retries": ((int,), 0, "a whole number from 0"),
    "requests_per_host": ((int,), 1, "a whole number from 1"),
    "ignore_robots": ((bool,), 0, "true or false"),
}
# Values of gcsfs' `token` that name a way to log in.
_WAYS_TO_LOG_IN = ("anon", "cache", "cloud", "google_default")
_ENDPOINT_KEYS = ("endpoint_url",)
_CREDENTIAL_SOURCES = {
    "s3": "the environment (AWS_ACCESS_KEY_ID, AWS_SECRET_ACCESS_KEY), a profile (AWS_PROFILE) or "
    "the machine's role",
    "gs": "the environment (GOOGLE_APPLICATION_CREDENTIALS), gcloud's login or the machine's "
    "service account",
    "abfs": "the environment (AZURE_STORAGE_ACCOUNT_KEY, AZURE_CLIENT_SECRET and their like) or "
    "the machine's identity",
}


class StorageSettings(ConfigSection):
    """How remote stores are accessed, without credentials: see docs/how-to/storage.md."""

    options: dict[Literal["s3", "gs", "abfs", "hdfs", "webhdfs", "web"], dict[str, Any]] = Field(
        default_factory=dict,
        description="by protocol, arguments of fsspec's client, such as s3: {endpoint_url: ...}; "
        "web, for lists of URLs: user_agent, timeout_secs (20), retries (2), requests_per_host (4 "
        "at the same time in each process), ignore_robots (false)",
    )

    @field_validator("options")
    @classmethod
    def _read_switches(cls, options: dict[str, Any]) -> dict[str, Any]:
        return {protocol: _with_switches(arguments) for protocol, arguments in options.items()}

    @field_validator("options")
    @classmethod
    def _knows_the_options_of_the_web(cls, options: dict[str, Any]) -> dict[str, Any]:
        for name, value in options.get("web", {}).items():
            if name not in _WEB_OPTIONS:
                raise ValueError(
                    f"options.web.{name} is unknown; valid are {', '.join(_WEB_OPTIONS)}"
                )
            kinds, least, words = _WEB_OPTIONS[name]
            is_kind = isinstance(value, kinds) and isinstance(value, bool) == (bool in kinds)
            if not is_kind or (isinstance(value, (int, float)) and value < least):
                raise ValueError(f"options.web.{name} is {value!r}; it must be {words}")
        return options

    @model_validator(mode="after")
    def _endpoints_have_a_scheme(self) -> StorageSettings:
        for protocol, options in self.options.items():
            for key, value in _iterate_leaves(options):
                name = key.rpartition(".")[2]
                if name in _ENDPOINT_KEYS and not str(value).startswith(("http://", "https://")):
                    raise ValueError(
                        f"options.{protocol}.{key} is {value}, which is no URL; write "
                        f"https://{value}, or http://{value} without encryption"
                    )
        return self

    @model_validator(mode="after")
    def _holds_no_credentials(self) -> StorageSettings:
        for protocol, options in self.options.items():
            for key, value in _iterate_leaves(options):
                if is_credential(key, value):
                    source = _CREDENTIAL_SOURCES.get(protocol, "the environment of its own client")
                    raise ValueError(
                        f"options.{protocol}.{key} contains a credential, which would be written "
                        f"to manifests and logs; remove it, and provide it by {source}"
                    )
        return self


def is_credential(key: str, value: Any) -> bool:
    """Whether an option with this name, or any value of this form, is a credential."""
    if key == "token" and value in _WAYS_TO_LOG_IN:
        return False
    return bool(_CREDENTIAL_KEY.search(key) or _SECRET_TEXT.search(str(value)))


def _with_switches(value: Any) -> Any:
    """Return a copy with booleans for `yes`, `no`, `on` and `off`, which no client takes so."""
    if isinstance(value, dict):
        return {key: _with_switches(inner) for key, inner in value.items()}
    return (
        [_with_switches(inner) for inner in value]
        if isinstance(value, list)
        else read_switch(value)
    )


def _iterate_leaves(value: Any, prefix: str = "") -> Iterator[tuple[str, Any]]:
    """Yield (dotted key, value) of all values in nested dicts and lists."""
    items = value.items() if isinstance(value, dict) else enumerate(value)
    for key, inner in items:
        name = f"{prefix}{key}"
        if isinstance(inner, (dict, list)) and not _CREDENTIAL_KEY.search(name.rpartition(".")[2]):
            yield from _iterate_leaves(inner, f"{name}.")
        else:
            yield name, inner
