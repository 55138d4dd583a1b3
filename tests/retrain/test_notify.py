"""Real HTTP servers: one that takes the outcome, one that fails, and none at all."""

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
TOLD = {"model": "faces", **OUTCOME}


class Hook(HTTPServer):
    """Answers with the codes that are left, the last one for ever."""

    def __init__(self) -> None:
        self.codes = [200]
        self.got: list[tuple[str, Any]] = []
        self.keys: list[str] = []
        hook = self

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                body = self.rfile.read(int(self.headers["Content-Length"]))
                assert self.headers["Content-Type"] == "application/json"
                hook.got.append((self.path, json.loads(body)))
                hook.keys.append(self.headers["Idempotency-Key"])
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
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(notify, "_RETRY_AFTER_SECS", (0.01, 0.01))


def test_both_are_told(hook: Hook, tmp_path: Path) -> None:
    file = tmp_path / "last" / "outcome.json"
    assert (
        notify.send_outcome(
            RetrainSettings(webhook=hook.url, outcome_file=str(file)), "faces", OUTCOME
        )
        == []
    )
    assert hook.got == [("/hooks/s3cret", TOLD)]
    assert json.loads(file.read_text()) == TOLD


def test_none_is_told_where_none_is_set() -> None:
    assert notify.send_outcome(RetrainSettings(), "faces", OUTCOME) == []


def test_a_hook_that_fails_for_a_moment_is_asked_again(hook: Hook) -> None:
    hook.codes = [500, 503, 200]
    assert notify.send_outcome(RetrainSettings(webhook=hook.url), "faces", OUTCOME) == []
    assert [told for _, told in hook.got] == [TOLD] * 3
    # Whoever acts on it can tell that it is one outcome.
    assert hook.keys == [OUTCOME["id"]] * 3


def test_a_hook_that_goes_on_failing_is_said_without_its_secret(
    hook: Hook, capsys: pytest.CaptureFixture[str]
) -> None:
    hook.codes = [404]
    said = "retrain.webhook at 127.0.0.1 was not told, in 3 tries: HTTP 404"
    assert notify.send_outcome(RetrainSettings(webhook=hook.url), "faces", OUTCOME) == [said]
    assert capsys.readouterr().err == f"notify: {said}\n"


def test_a_hook_that_is_away() -> None:
    settings = RetrainSettings(webhook=f"http://127.0.0.1:{free_port()}/s3cret")
    (said,) = notify.send_outcome(settings, "faces", OUTCOME)
    assert said == (
        "retrain.webhook at 127.0.0.1 was not told, in 3 tries: [Errno 111] Connection refused"
    )


def test_a_file_that_cannot_be_written(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    settings = RetrainSettings(outcome_file=str(tmp_path / "file" / "outcome.json"))
    (said,) = notify.send_outcome(settings, "faces", OUTCOME)
    assert said.startswith(f"retrain.outcome_file {tmp_path}/file/outcome.json: ")


def test_a_file_that_no_store_takes_keeps_nothing_from_the_hook(hook: Hook) -> None:
    settings = RetrainSettings(webhook=hook.url, outcome_file="no-store://nobody/last.json")
    (said,) = notify.send_outcome(settings, "faces", OUTCOME)
    assert said.startswith("retrain.outcome_file no-store://nobody/last.json: ")
    assert len(hook.got) == 1


def test_the_url_may_come_from_the_environment(hook: Hook, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("RETRAIN_HOOK", hook.url)
    settings = RetrainSettings(webhook="$RETRAIN_HOOK")
    notify.check_webhook(settings)
    assert notify.send_outcome(settings, "faces", OUTCOME) == []
    assert len(hook.got) == 1


def test_a_variable_that_is_not_there(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("RETRAIN_HOOK", raising=False)
    with pytest.raises(InputError) as caught:
        notify.check_webhook(RetrainSettings(webhook="$RETRAIN_HOOK"))
    assert str(caught.value) == (
        "retrain.webhook is $RETRAIN_HOOK, and the environment has no RETRAIN_HOOK that begins "
        "with http:// or https://; set it, or leave retrain.webhook out"
    )


def test_a_webhook_is_a_url() -> None:
    with pytest.raises(
        ConfigError, match=r"retrain\.webhook = \"slack\.com\": String should match"
    ):
        config.config_from_mapping({"retrain": {"webhook": "slack.com"}}, source="test")
