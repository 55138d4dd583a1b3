"""The outcome to whom it concerns: a webhook and a file. Neither changes it by being away."""

from __future__ import annotations

import json
import os
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Mapping
from typing import Any
from urllib.parse import urlsplit

from halftone import storage
from halftone.config import RetrainSettings
from halftone.errors import InputError

_TIMEOUT_SECS = 5.0
_RETRY_AFTER_SECS = (1.0, 3.0)


def check_webhook(settings: RetrainSettings) -> None:
    """Raise InputError where the environment lacks the webhook's variable, or it holds no URL."""
    name = settings.webhook or ""
    if name.startswith("$") and urlsplit(_webhook_url(settings)).scheme not in ("http", "https"):
        raise InputError(
            f"retrain.webhook is {name}, and the environment has no {name[1:]} that begins with "
            "http:// or https://; set it, or leave retrain.webhook out"
        )


def send_outcome(
    settings: RetrainSettings, model_name: str, outcome: Mapping[str, Any]
) -> list[str]:
    """Tell both, where they are set; return what went wrong, which is said on stderr too.

    Args:
        model: the registered model's name.
        outcome: its `id` is the same where a crash has it told a second time.
    """
    body = (json.dumps({"model": model_name, **outcome}, indent=2) + "\n").encode()
    wrong = []
    if settings.outcome_file:
        try:
            storage.write_bytes(storage.normalise_url(settings.outcome_file), body)
        except Exception as error:  # each store raises its own kind
            wrong.append(f"retrain.outcome_file {settings.outcome_file}: {error}")
    if settings.webhook:
        said = _post_outcome(_webhook_url(settings), body, str(outcome["id"]))
        if said:  # the URL itself may be the secret that lets one in
            host = urlsplit(_webhook_url(settings)).hostname
            tries = len(_RETRY_AFTER_SECS) + 1
            wrong.append(f"retrain.webhook at {host} was not told, in {tries} tries: {said}")
    for line in wrong:
        print(f"notify: {line}", file=sys.stderr, flush=True)
    return wrong


def _webhook_url(settings: RetrainSettings) -> str:
    given = settings.webhook or ""
    return os.environ.get(given[1:], "") if given.startswith("$") else given


def _post_outcome(url: str, body: bytes, idempotency_key: str) -> str:
    """Return what the last try failed of; an empty text where one succeeded."""
    said = ""
    headers = {"Content-Type": "application/json", "Idempotency-Key": idempotency_key}
    for delay_secs in (*_RETRY_AFTER_SECS, None):
        request = urllib.request.Request(url, data=body, headers=headers, method="POST")
        try:
            with urllib.request.urlopen(request, timeout=_TIMEOUT_SECS):
                return ""
        except urllib.error.HTTPError as error:
            said = f"HTTP {error.code}"
            error.close()
        except (OSError, ValueError) as error:
            said = str(getattr(error, "reason", error))
        if delay_secs is not None:
            time.sleep(delay_secs)
    return said
