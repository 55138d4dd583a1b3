"""Settings of monitoring: where metrics are sent while a job runs."""

from __future__ import annotations

from typing import Optional

from pydantic import Field

from halftone.config.base import ConfigSection


class MonitoringSettings(ConfigSection):
    """Where metrics go while a job runs, and at its end; nowhere by default."""

    prometheus_folder: Optional[str] = Field(
        None,
        min_length=1,
        description="local folder of the textfile collector of Prometheus' node_exporter; each job "
        "writes a file halftone-NAME-JOB.prom",
    )
    push_gateway: Optional[str] = Field(
        None,
        pattern=r"^https?://[^/]",
        description="Prometheus Pushgateway, such as http://HOST:9091",
    )
    otlp_endpoint: Optional[str] = Field(
        None,
        pattern=r"^https?://[^/]",
        description="OpenTelemetry collector, such as http://HOST:4318, for OTLP over HTTP; "
        "default: OTEL_EXPORTER_OTLP_ENDPOINT",
    )
