"""Metrics for a collector of OpenTelemetry: OTLP over HTTP, as protobuf.

https://opentelemetry.io/docs/specs/otlp/ and the environment variables of
https://opentelemetry.io/docs/specs/otel/protocol/exporter/. The exporter of OpenTelemetry's SDK for
TensorFlow's protobuf 4 needs an SDK of 2024, and retries for up to a minute. Halftone sends a dozen
numbers, so it builds the message itself.
"""

from __future__ import annotations

import time
import urllib.request
from collections.abc import Mapping, Sequence
from typing import Optional
from urllib.parse import unquote

from opentelemetry.proto.collector.metrics.v1.metrics_service_pb2 import (
    ExportMetricsServiceRequest,
)
from opentelemetry.proto.common.v1.common_pb2 import AnyValue, KeyValue
from opentelemetry.proto.metrics.v1.metrics_pb2 import (
    AGGREGATION_TEMPORALITY_CUMULATIVE,
    NumberDataPoint,
)

import halftone
from halftone.measures import COUNTER, MeasuredValue

_HEADER_VARIABLES = ("OTEL_EXPORTER_OTLP_METRICS_HEADERS", "OTEL_EXPORTER_OTLP_HEADERS")
_PATH = "/v1/metrics"
_NANOSECS = 10**9


def find_url(endpoint: Optional[str], environment: Mapping[str, str]) -> Optional[str]:
    """Return the URL for metrics; None if neither a setting nor the environment has one.

    Args:
        endpoint: the setting, to which the path is added as to OTEL_EXPORTER_OTLP_ENDPOINT.
    """
    if environment.get("OTEL_SDK_DISABLED", "").strip().lower() == "true":
        return None
    if endpoint:
        return endpoint.rstrip("/") + _PATH
    own = environment.get("OTEL_EXPORTER_OTLP_METRICS_ENDPOINT", "").strip()
    shared = environment.get("OTEL_EXPORTER_OTLP_ENDPOINT", "").strip()
    return own or (shared.rstrip("/") + _PATH if shared else None)


def send(
    url: str,
    values: Sequence[MeasuredValue],
    labels: Mapping[str, str],
    environment: Mapping[str, str],
    start_secs: float,
    timeout_secs: float,
) -> None:
    """Send values.

    Args:
        url: as `find_url` returns it.
        labels: of all values.
        environment: with the headers and the resource's attributes, if any.
        start_secs: when counting began, in seconds since 1970.

    Raises:
        OSError: the collector cannot be reached, or refuses the values.
    """
    request = urllib.request.Request(
        url,
        data=build_request(values, labels, environment, start_secs).SerializeToString(),
        headers={**_read_headers(environment), "Content-Type": "application/x-protobuf"},
        method="POST",
    )
    with urllib.request.urlopen(request, timeout=timeout_secs):
        pass


def build_request(
    values: Sequence[MeasuredValue],
    labels: Mapping[str, str],
    environment: Mapping[str, str],
    start_secs: float,
) -> ExportMetricsServiceRequest:
    """Return the message for values; arguments as of `send`."""
    request = ExportMetricsServiceRequest()
    resource_metrics = request.resource_metrics.add()
    resource_metrics.resource.attributes.extend(_attributes(_read_resource(environment)))
    scope_metrics = resource_metrics.scope_metrics.add()
    scope_metrics.scope.name, scope_metrics.scope.version = "halftone", halftone.__version__
    start_nanosecs, now_nanosecs = int(start_secs * _NANOSECS), time.time_ns()
    metrics = {}
    for measure, label_values, value in values:
        if measure.name not in metrics:
            metric = scope_metrics.metrics.add(name=measure.name, description=measure.text)
            metrics[measure.name] = metric.gauge.data_points
            if measure.kind == COUNTER:
                metric.sum.aggregation_temporality = AGGREGATION_TEMPORALITY_CUMULATIVE
                metric.sum.is_monotonic = True
                metrics[measure.name] = metric.sum.data_points
        attributes = _attributes({**labels, **dict(zip(measure.labels, label_values))})
        point = NumberDataPoint(
            attributes=attributes,
            start_time_unix_nano=start_nanosecs,
            time_unix_nano=now_nanosecs,
            as_double=value,
        )
        metrics[measure.name].append(point)
    return request


def _attributes(values: Mapping[str, str]) -> list[KeyValue]:
    return [KeyValue(key=key, value=AnyValue(string_value=text)) for key, text in values.items()]


def _read_resource(environment: Mapping[str, str]) -> dict[str, str]:
    attributes = _read_pairs(environment.get("OTEL_RESOURCE_ATTRIBUTES", ""))
    name = environment.get("OTEL_SERVICE_NAME") or attributes.get("service.name") or "halftone"
    return {**attributes, "service.name": name}


def _read_headers(environment: Mapping[str, str]) -> dict[str, str]:
    texts = (environment.get(name, "") for name in _HEADER_VARIABLES)
    return _read_pairs(next(filter(None, texts), ""))


def _read_pairs(text: str) -> dict[str, str]:
    """Return the pairs of a text such as `a=1,b=2`, whose values are encoded as in URLs."""
    pairs = (item.partition("=") for item in text.split(","))
    return {key.strip(): unquote(value.strip()) for key, mark, value in pairs if mark}
