"""Send the outcome of a run to a webhook and a file. A failure to do so does not change it."""

from __future__ import annotations

import json
import logging
import os
import time
import urllib.error
import urllib.request
from collections.abc import Mapping
from typing import Any
from urllib.parse import urlsplit

from halftone import storage
from halftone.config import RetrainSettings
from halftone.errors import InputError

_logger = logging.getLogger(__name__)
_TIMEOUT_SECS = 5.0
_RETRY_AFTER_SECS = (1.0, 3.0)


def check_webhook(settings: RetrainSettings) -> None:
    """Check a webhook that is read from an environment variable.

    Raises:
        InputError: the variable is not set or holds no URL.
    """
    name = settings.webhook or ""
    if name.startswith("$") and urlsplit(_webhook_url(settings)).scheme not in ("http", "https"):
        raise InputError(
            f"retrain.webhook is {name}, and the environment has no {name[1:]} that begins with "
            "http:// or https://; set it, or leave retrain.webhook out"
        )


def send_outcome(
    settings: RetrainSettings, model_name: str, outcome: Mapping[str, Any]
) -> list[str]:
    """Write the outcome file and call the webhook, where they are set.

    Args:
        settings: section `retrain`.
        model_name: name of the registered model.
        outcome: its `id` identifies duplicates: after a crash an outcome may be sent twice.

    Returns:
        Error messages, which are also logged.
    """
    body = (json.dumps({"model": model_name, **outcome}, indent=2) + "\n").encode()
    errors = []
    if settings.outcome_file:
        try:
            storage.write_bytes(storage.normalise_url(settings.outcome_file), body)
        except Exception as error:  # stores raise different types
            errors.append(f"retrain.outcome_file {settings.outcome_file}: {error}")
    if settings.webhook:
        error_text = _post_outcome(_webhook_url(settings), body, str(outcome["id"]))
        if error_text:  # print only the host: the URL may contain a secret
            host = urlsplit(_webhook_url(settings)).hostname
            tries = len(_RETRY_AFTER_SECS) + 1
            errors.append(f"retrain.webhook at {host} failed {tries} times: {error_text}")
    for line in errors:
        _logger.warning("notify: %s", line)
    return errors


def _webhook_url(settings: RetrainSettings) -> str:
    webhook = settings.webhook or ""
    return os.environ.get(webhook[1:], "") if webhook.startswith("$") else webhook


def _post_outcome(url: str, body: bytes, idempotency_key: str) -> str:
    """Return the error of the last try, or "" if one succeeded."""
    message = ""
    headers = {"Content-Type": "application/json", "Idempotency-Key": idempotency_key}
    for delay_secs in (*_RETRY_AFTER_SECS, None):
        request = urllib.request.Request(url, data=body, headers=headers, method="POST")
        try:
            with urllib.request.urlopen(request, timeout=_TIMEOUT_SECS):
                return ""
        except urllib.error.HTTPError as error:
            message = f"HTTP {error.code}"
            error.close()
        except (OSError, ValueError) as error:
            message = str(getattr(error, "reason", error))
        if delay_secs is not None:
            time.sleep(delay_secs)
    return message
