from __future__ import annotations

from collections.abc import Iterator

import pytest

from halftone import measures
from metrics_server import MetricsServer, running_server


@pytest.fixture(autouse=True)
def _no_values(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Neither values of other tests, nor a collector in the environment."""
    for name in ("OTEL_EXPORTER_OTLP_ENDPOINT", "OTEL_EXPORTER_OTLP_METRICS_ENDPOINT"):
        monkeypatch.delenv(name, raising=False)
    measures.clear()
    yield
    measures.clear()


@pytest.fixture
def server() -> Iterator[MetricsServer]:
    with running_server() as metrics_server:
        yield metrics_server
