"""Messages to a collector, decoded with OpenTelemetry's own classes."""

from __future__ import annotations

import time
from urllib.error import HTTPError

import pytest
from google.protobuf.json_format import MessageToDict
from opentelemetry.proto.collector.metrics.v1.metrics_service_pb2 import (
    ExportMetricsServiceRequest,
)

import halftone
from halftone import measures
from halftone.monitoring import otlp
from metrics_server import MetricsServer

LABELS = {"run": "faces", "job_name": "train"}


def attribute(key: str, value: str) -> dict[str, object]:
    return {"key": key, "value": {"stringValue": value}}


def test_a_collector_gets_all_values(server: MetricsServer) -> None:
    measures.set_value(measures.RANK_RESTARTS, 2)
    measures.set_value(measures.LOSS, 0.25, "train")
    environment = {
        "OTEL_EXPORTER_OTLP_HEADERS": "Authorization=Bearer%20abc,x=1",
        "OTEL_RESOURCE_ATTRIBUTES": "team=vision",
    }
    url = otlp.find_url(server.url, environment)
    assert url is not None
    before = time.time_ns()
    otlp.send(url, measures.collect(), LABELS, environment, start_secs=7.0, timeout_secs=5)
    (request,) = server.requests
    assert (request.method, request.path) == ("POST", "/v1/metrics")
    assert request.headers["content-type"] == "application/x-protobuf"
    assert (request.headers["authorization"], request.headers["x"]) == ("Bearer abc", "1")

    message = ExportMetricsServiceRequest.FromString(request.body)
    (resource,) = MessageToDict(message)["resourceMetrics"]
    assert resource["resource"]["attributes"] == [
        attribute("team", "vision"),
        attribute("service.name", "halftone"),
    ]
    (scope,) = resource["scopeMetrics"]
    assert scope["scope"] == {"name": "halftone", "version": halftone.__version__}
    restarts, loss = scope["metrics"]
    (point,) = restarts["sum"].pop("dataPoints")
    assert before <= int(point.pop("timeUnixNano")) <= time.time_ns()
    own = [attribute("run", "faces"), attribute("job_name", "train")]
    assert point == {"attributes": own, "startTimeUnixNano": "7000000000", "asDouble": 2.0}
    assert restarts == {
        "name": "halftone_train_restarts_total",
        "description": "Restarts of the training after a rank was lost.",
        "sum": {
            "aggregationTemporality": "AGGREGATION_TEMPORALITY_CUMULATIVE",
            "isMonotonic": True,
        },
    }
    (point,) = loss["gauge"]["dataPoints"]
    assert (loss["name"], point["asDouble"]) == ("halftone_train_loss", 0.25)
    assert point["attributes"] == [*own, attribute("split", "train")]


def test_a_collector_that_refuses_is_an_error(server: MetricsServer) -> None:
    server.status = 503
    with pytest.raises(HTTPError, match="503"):
        otlp.send(f"{server.url}/v1/metrics", [], LABELS, {}, start_secs=0, timeout_secs=5)


SHARED, OWN = "OTEL_EXPORTER_OTLP_ENDPOINT", "OTEL_EXPORTER_OTLP_METRICS_ENDPOINT"


@pytest.mark.parametrize(
    ("setting", "environment", "url"),
    [
        (None, {}, None),
        (None, {SHARED: "http://c:4318/"}, "http://c:4318/v1/metrics"),
        # As the specification says: used as it is.
        (None, {SHARED: "http://c:4318", OWN: "http://d/x"}, "http://d/x"),
        ("http://e:4318", {SHARED: "http://c:4318", OWN: "http://d/x"}, "http://e:4318/v1/metrics"),
        ("http://e:4318", {"OTEL_SDK_DISABLED": "true"}, None),
    ],
)
def test_the_setting_goes_before_the_environment(
    setting: str | None, environment: dict[str, str], url: str | None
) -> None:
    assert otlp.find_url(setting, environment) == url


def test_the_service_has_the_name_of_the_environment() -> None:
    environment = {"OTEL_SERVICE_NAME": "nightly", "OTEL_RESOURCE_ATTRIBUTES": "service.name=other"}
    request = otlp.build_request([], {}, environment, 0)
    (found,) = request.resource_metrics[0].resource.attributes
    assert (found.key, found.value.string_value) == ("service.name", "nightly")
