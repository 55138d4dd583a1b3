"""Events of jobs, received by a real HTTP server."""

from __future__ import annotations

import json
import os
import socket
import subprocess
import sys
import time
import uuid
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

from halftone.dataset import manifest
from halftone.errors import InputError, RunError, StoppedError
from halftone.lineage import job_run
from halftone.lineage.job_run import is_configured, report_job
from lineage_server import (
    LineageServer,
    datasets,
    forget_configuration,
    plain_facets,
    running_server,
)
from tracked import free_port

ROOT = Path(__file__).parents[2]


@pytest.fixture(autouse=True)
def _environment(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """No configuration, and a working directory and a home without a file of the client."""
    forget_configuration()
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("HOME", str(tmp_path))
    yield
    forget_configuration()


@pytest.fixture
def server() -> Iterator[LineageServer]:
    with running_server() as lineage_server:
        os.environ["OPENLINEAGE_URL"] = lineage_server.url
        yield lineage_server


def run(error: BaseException | None = None, failure: str = "") -> None:
    with report_job("faces", "preprocess", {"images": "s3://b/in"}, {"dataset": "/out"}) as fail:
        if failure:
            fail(failure)
        if error is not None:
            raise error


def test_events_of_a_job(server: LineageServer, prepared_dataset: Path) -> None:
    url = str(prepared_dataset)
    with report_job("faces", "export", {"dataset": url}, {"export": "s3://bucket/tfrecord"}):
        pass
    start, complete = server.events
    assert [event["eventType"] for event in server.events] == ["START", "COMPLETE"]
    assert start["run"]["runId"] == complete["run"]["runId"]
    uuid.UUID(start["run"]["runId"])
    assert start["eventTime"] <= complete["eventTime"]
    assert start["producer"] == "urn:halftone:0.1.0"
    assert (start["job"]["namespace"], start["job"]["name"]) == ("halftone", "faces.export")
    assert plain_facets(start["job"]["facets"]) == {
        "jobType": {"processingType": "BATCH", "integration": "HALFTONE", "jobType": "EXPORT"},
        "documentation": {"description": "Writes a dataset as TFRecord files."},
    }
    assert plain_facets(start["run"]["facets"]) == {
        "processing_engine": {
            "name": "Spark",
            "version": "3.5.9",
            "openlineageAdapterVersion": "0.1.0",
        }
    }
    data = manifest.read_manifest(url)
    facets = {
        "version": {"datasetVersion": data.fingerprint},
        "schema": [
            *("key", "label", "label_id", "image", "source_height_px", "source_width_px"),
            *("source_bytes", "source_modified", "source_digest", "perceptual_hash"),
        ],
        "inputStatistics": {
            "rowCount": 120,
            "size": data.size_bytes(),
            "fileCount": data.num_shards(),
        },
    }
    for event in server.events:
        assert datasets(event["inputs"]) == [("file", url, facets)]
        assert datasets(event["outputs"]) == [("s3://bucket", "tfrecord", {})]
    assert server.requests == [("/api/v1/lineage", "")] * 2


def test_the_output_has_facts_once_the_job_is_complete(
    server: LineageServer, dataset: Path
) -> None:
    with report_job("faces", "preprocess", {}, {"dataset": str(dataset)}):
        pass
    first, last = (datasets(event["outputs"])[0][2] for event in server.events)
    assert first == {}
    assert last["outputStatistics"]["rowCount"] == 120
    assert last["version"] == {"datasetVersion": manifest.read_manifest(str(dataset)).fingerprint}


@pytest.mark.parametrize(
    ("error", "state", "message"),
    [
        (InputError("no images at s3://me:pa55@b"), "FAIL", "no images at s3://me:***@b"),
        (RunError("rank 1 died"), "FAIL", "rank 1 died"),
        (ZeroDivisionError(), "FAIL", "ZeroDivisionError"),
        (StoppedError("epoch 3 is kept"), "ABORT", None),
        (KeyboardInterrupt(), "ABORT", None),
    ],
)
def test_a_job_that_fails_or_is_stopped(
    server: LineageServer, error: BaseException, state: str, message: str | None
) -> None:
    with pytest.raises(type(error)):
        run(error)
    assert server.states() == [("faces.preprocess", "START"), ("faces.preprocess", state)]
    facets = plain_facets(server.events[1]["run"]["facets"])
    expected = message and {"message": message, "programmingLanguage": "python"}
    assert facets.get("errorMessage") == expected
    assert datasets(server.events[1]["outputs"]) == [("file", "/out", {})]


def test_a_failure_without_an_exception(server: LineageServer) -> None:
    run(failure="the training failed")
    assert server.events[1]["eventType"] == "FAIL"
    facets = plain_facets(server.events[1]["run"]["facets"])
    assert facets["errorMessage"]["message"] == "the training failed"


def test_namespace_and_key_are_those_of_the_environment(
    server: LineageServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("OPENLINEAGE_NAMESPACE", "team")
    monkeypatch.setenv("OPENLINEAGE_API_KEY", "k3y")
    monkeypatch.setenv("OPENLINEAGE_ENDPOINT", "lineage")
    run()
    assert {event["job"]["namespace"] for event in server.events} == {"team"}
    assert server.requests == [("/lineage", "Bearer k3y")] * 2


@pytest.mark.parametrize("place", ["OPENLINEAGE_CONFIG", "working directory", "home"])
def test_a_file_of_the_client(
    place: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    log = tmp_path / "events.jsonl"
    folder = tmp_path / {"home": ".openlineage", "OPENLINEAGE_CONFIG": "etc"}.get(place, "")
    folder.mkdir(exist_ok=True)
    path = folder / "openlineage.yml"
    settings = {"type": "file", "log_file_path": str(log), "append": True}
    path.write_text(yaml.safe_dump({"transport": settings}))
    if place == "OPENLINEAGE_CONFIG":
        monkeypatch.setenv(place, str(path))
    run()
    events = [json.loads(line) for line in log.read_text().splitlines()]
    assert [event["eventType"] for event in events] == ["START", "COMPLETE"]
    assert capfd.readouterr().err == ""


@pytest.mark.parametrize(
    ("variables", "expected"),
    [
        ({}, False),
        ({"OPENLINEAGE_NAMESPACE": "team"}, False),
        ({"OPENLINEAGE_URL": "http://x"}, True),
        ({"OPENLINEAGE__TRANSPORT__TYPE": "console"}, True),
        ({"OPENLINEAGE__TRANSPORT": '{"type": "console"}'}, True),
        ({"OPENLINEAGE_URL": "http://x", "OPENLINEAGE_DISABLED": "True"}, False),
    ],
)
def test_is_configured(
    variables: dict[str, str], expected: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name, value in variables.items():
        monkeypatch.setenv(name, value)
    assert is_configured() is expected


def test_a_disabled_client_sends_nothing(
    server: LineageServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("OPENLINEAGE_DISABLED", "true")
    run()
    assert server.events == []


WARNING_END = "; events of OpenLineage are missing, the job is not affected\n"


def test_a_server_that_cannot_be_reached_gives_one_warning(
    capfd: pytest.CaptureFixture[str],
) -> None:
    os.environ["OPENLINEAGE_URL"] = f"http://me:pa55@127.0.0.1:{free_port()}"
    started = time.monotonic()
    run()
    assert time.monotonic() - started < 3
    assert capfd.readouterr().err == f"lineage: [Errno 111] Connection refused{WARNING_END}"


def test_a_server_that_refuses_the_events_gives_one_warning(
    server: LineageServer, capfd: pytest.CaptureFixture[str]
) -> None:
    server.status = 403
    run()
    assert len(server.events) == 2
    warning = capfd.readouterr().err
    assert warning.startswith("lineage: 403 Client Error: Forbidden for url: http://127.0.0.1:")
    assert warning.endswith(WARNING_END)
    assert warning.count("\n") == 1


def test_a_server_that_never_answers_delays_no_job(
    monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    from halftone.lineage import emitter

    monkeypatch.setattr(emitter, "_CLOSE_TIMEOUT_SECS", 0.2)
    with socket.create_server(("127.0.0.1", 0)) as silent:  # accepts, and never answers
        os.environ["OPENLINEAGE_URL"] = f"http://127.0.0.1:{silent.getsockname()[1]}"
        started = time.monotonic()
        with report_job("faces", "train", {}, {}):
            assert time.monotonic() - started < 1
        assert time.monotonic() - started < 1.5
    assert capfd.readouterr().err == f"lineage: no answer within 0 s{WARNING_END}"


def test_a_wrong_configuration_gives_one_warning(capfd: pytest.CaptureFixture[str]) -> None:
    os.environ["OPENLINEAGE_URL"] = "not a url"
    run()
    warning = capfd.readouterr().err
    assert warning.startswith("lineage: Need valid url for OpenLineageClient, passed not a url")
    assert warning.count("\n") == 1


NO_IMPORT = """
import sys
from halftone.lineage.job_run import report_job
with report_job("faces", "train", {"dataset": "/data"}, {"model": "/model"}):
    pass
print([name for name in sys.modules if name.partition(".")[0] in ("openlineage", "requests")])
"""


def test_the_client_is_imported_only_if_it_is_configured() -> None:
    environment = {**os.environ, "PYTHONPATH": str(ROOT / "lib")}
    command = [sys.executable, "-c", NO_IMPORT]
    done = subprocess.run(command, capture_output=True, text=True, env=environment, check=True)
    assert (done.stdout, done.stderr) == ("[]\n", "")


def test_an_error_in_the_events_fails_no_job(
    server: LineageServer, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    def fail(*_: Any) -> Any:
        raise ValueError("a bug")

    with report_job("faces", "train", {}, {"model": "/model"}):
        monkeypatch.setattr(job_run, "read_facts", fail)
    assert capfd.readouterr().err == f"lineage: a bug{WARNING_END}"
    assert server.states() == [("faces.train", "START")]
