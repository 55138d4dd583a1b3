"""Sending of outcomes to real HTTP servers that accept it, fail, or do not exist."""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path
from typing import Any

import pytest

from halftone import config
from halftone.config import ConfigError, RetrainSettings
from halftone.errors import InputError
from halftone.retrain import notify
from tracked import free_port

OUTCOME = {"id": "4f2a90c1", "outcome": "promoted", "night": 3}
SENT = {"model": "faces", **OUTCOME}


class Hook(HTTPServer):
    """A server that answers with the given status codes, and repeats the last one."""

    def __init__(self) -> None:
        self.codes = [200]
        self.requests: list[tuple[str, Any]] = []
        self.idempotency_keys: list[str] = []
        hook = self

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                body = self.rfile.read(int(self.headers["Content-Length"]))
                assert self.headers["Content-Type"] == "application/json"
                hook.requests.append((self.path, json.loads(body)))
                hook.idempotency_keys.append(self.headers["Idempotency-Key"])
                self.send_response(hook.codes.pop(0) if len(hook.codes) > 1 else hook.codes[0])
                self.end_headers()

            def log_message(self, format: str, *args: Any) -> None:
                pass

        super().__init__(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self.server_port}/hooks/s3cret"


@pytest.fixture
def hook() -> Iterator[Hook]:
    server = Hook()
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    yield server
    server.shutdown()
    thread.join()
    server.server_close()


@pytest.fixture(autouse=True)
def short_delays(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(notify, "_RETRY_AFTER_SECS", (0.01, 0.01))


def test_outcome_is_sent_to_webhook_and_file(hook: Hook, tmp_path: Path) -> None:
    file = tmp_path / "last" / "outcome.json"
    settings = RetrainSettings(webhook=hook.url, outcome_file=str(file))
    assert notify.send_outcome(settings, "faces", OUTCOME) == []
    assert hook.requests == [("/hooks/s3cret", SENT)]
    assert json.loads(file.read_text()) == SENT


def test_nothing_is_sent_without_settings() -> None:
    assert notify.send_outcome(RetrainSettings(), "faces", OUTCOME) == []


def test_failed_request_is_retried_with_the_same_idempotency_key(hook: Hook) -> None:
    hook.codes = [500, 503, 200]
    assert notify.send_outcome(RetrainSettings(webhook=hook.url), "faces", OUTCOME) == []
    assert [body for _, body in hook.requests] == [SENT] * 3
    assert hook.idempotency_keys == [OUTCOME["id"]] * 3


def test_error_message_of_a_failing_webhook_does_not_contain_its_path(
    hook: Hook, capsys: pytest.CaptureFixture[str]
) -> None:
    hook.codes = [404]
    message = "retrain.webhook at 127.0.0.1 failed 3 times: HTTP 404"
    assert notify.send_outcome(RetrainSettings(webhook=hook.url), "faces", OUTCOME) == [message]
    assert capsys.readouterr().err == f"notify: {message}\n"


def test_unreachable_webhook() -> None:
    settings = RetrainSettings(webhook=f"http://127.0.0.1:{free_port()}/s3cret")
    (message,) = notify.send_outcome(settings, "faces", OUTCOME)
    assert message == (
        "retrain.webhook at 127.0.0.1 failed 3 times: [Errno 111] Connection refused"
    )


def test_file_that_cannot_be_written(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    settings = RetrainSettings(outcome_file=str(tmp_path / "file" / "outcome.json"))
    (message,) = notify.send_outcome(settings, "faces", OUTCOME)
    assert message.startswith(f"retrain.outcome_file {tmp_path}/file/outcome.json: ")


def test_webhook_is_called_even_if_the_file_cannot_be_written(hook: Hook) -> None:
    settings = RetrainSettings(webhook=hook.url, outcome_file="/dev/null/last.json")
    (message,) = notify.send_outcome(settings, "faces", OUTCOME)
    assert message.startswith("retrain.outcome_file /dev/null/last.json: ")
    assert len(hook.requests) == 1


def test_url_from_the_environment(hook: Hook, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("RETRAIN_HOOK", hook.url)
    settings = RetrainSettings(webhook="$RETRAIN_HOOK")
    notify.check_webhook(settings)
    assert notify.send_outcome(settings, "faces", OUTCOME) == []
    assert len(hook.requests) == 1


def test_missing_environment_variable_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("RETRAIN_HOOK", raising=False)
    with pytest.raises(InputError) as caught:
        notify.check_webhook(RetrainSettings(webhook="$RETRAIN_HOOK"))
    assert str(caught.value) == (
        "retrain.webhook is $RETRAIN_HOOK, and the environment has no RETRAIN_HOOK that begins "
        "with http:// or https://; set it, or leave retrain.webhook out"
    )


def test_webhook_that_is_no_url_is_refused() -> None:
    with pytest.raises(
        ConfigError, match=r"retrain\.webhook = \"slack\.com\": String should match"
    ):
        config.config_from_mapping({"retrain": {"webhook": "slack.com"}}, source="test")
