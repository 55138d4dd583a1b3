from __future__ import annotations

import sys
import time
from pathlib import Path

import pytest
from prometheus_client.parser import text_string_to_metric_families

from halftone import measures
from halftone.config.monitoring import MonitoringSettings
from halftone.monitoring import exporter
from halftone.system import job_process
from metrics_server import MetricsServer
from tracked import free_port


@pytest.fixture(autouse=True)
def _end_calls(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(job_process._job, "end_calls", [])
    monkeypatch.setattr(measures, "_is_sent", False)


def start(**settings: str) -> exporter.Exporter:
    started = exporter.start(MonitoringSettings(**settings), "faces", "train")
    assert started is not None
    return started


def values(folder: Path) -> dict[str, float]:
    text = (folder / "halftone-faces-train.prom").read_text()
    families = text_string_to_metric_families(text)
    return {sample.name: sample.value for family in families for sample in family.samples}


def test_nothing_is_imported_or_sent_without_a_setting() -> None:
    assert exporter.start(MonitoringSettings(), "faces", "train") is None
    assert job_process._job.end_calls == []
    assert not measures.is_sent()


def test_values_are_written_while_a_job_runs_and_at_its_end(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(exporter, "_INTERVAL_SECS", 0.02)
    started = time.time()
    start(prometheus_folder=str(tmp_path))
    assert measures.is_sent()
    count = iter(range(1, 1000))
    with measures.updating(lambda: measures.set_value(measures.EPOCHS, next(count))):
        deadline = time.monotonic() + 20
        while not (tmp_path / "halftone-faces-train.prom").exists() or (
            values(tmp_path).get("halftone_train_epochs", 0) < 3
        ):
            assert time.monotonic() < deadline
            time.sleep(0.01)
    assert "halftone_job_exit_code" not in values(tmp_path)
    (end,) = job_process._job.end_calls
    end(5)
    found = values(tmp_path)
    assert found["halftone_job_exit_code"] == 5
    assert started <= found["halftone_job_start_timestamp_seconds"]
    assert (
        found["halftone_job_start_timestamp_seconds"]
        <= (found["halftone_job_end_timestamp_seconds"])
    )


def test_a_server_that_is_down_is_reported_once(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(exporter, "_INTERVAL_SECS", 0.02)
    port = free_port()
    running = start(push_gateway=f"http://127.0.0.1:{port}", prometheus_folder=str(tmp_path))
    time.sleep(0.3)
    running.finish(0)
    assert capsys.readouterr().err == (
        f"metrics: monitoring.push_gateway http://127.0.0.1:{port}: [Errno 111] "
        "Connection refused; metrics are missing, the job is not affected\n"
    )
    assert values(tmp_path)["halftone_job_exit_code"] == 0


def test_a_server_that_does_not_answer_delays_a_job_for_seconds_only(
    server: MetricsServer, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(exporter, "_CLOSE_TIMEOUT_SECS", 0.2)
    server.may_answer.clear()
    monkeypatch.setenv("OTEL_EXPORTER_OTLP_ENDPOINT", server.url)
    running = start()
    started = time.monotonic()
    running.finish(0)
    assert time.monotonic() - started < 2
    assert capsys.readouterr().err == (
        "metrics: the servers: no answer within 0 s; metrics are missing, the job is not affected\n"
    )
    server.may_answer.set()
    running._thread.join()


def test_a_missing_package_is_a_warning(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setitem(sys.modules, "halftone.monitoring.otlp", None)
    monkeypatch.delattr("halftone.monitoring.otlp", raising=False)
    settings = MonitoringSettings(otlp_endpoint="http://127.0.0.1:1")
    assert exporter.start(settings, "faces", "train") is None
    assert "; install halftone[metrics]; metrics are missing" in capsys.readouterr().err


@pytest.mark.parametrize("url", ["localhost:9091", "grpc://host:4317", ""])
def test_an_endpoint_needs_a_protocol(url: str) -> None:
    with pytest.raises(ValueError, match="push_gateway"):
        MonitoringSettings(push_gateway=url)
