"""Files and pushes, read with the client's own parser."""

from __future__ import annotations

import os
from pathlib import Path
from urllib.error import HTTPError

import pytest
from prometheus_client.parser import text_string_to_metric_families

from halftone import measures
from halftone.monitoring import prometheus
from metrics_server import MetricsServer

LABELS = {"run": "faces", "job_name": "train"}


def set_values() -> None:
    measures.set_value(measures.IMAGES_READ, 400, "decode")
    measures.set_value(measures.LOSS, 0.25, "train")
    measures.set_value(measures.LOSS, 0.5, "validation")


def parse(text: str) -> dict[tuple[str, ...], float]:
    """Values by name, type and labels."""
    return {
        (sample.name, family.type, *map("=".join, sorted(sample.labels.items()))): sample.value
        for family in text_string_to_metric_families(text)
        for sample in family.samples
    }


def test_the_file_of_a_job(tmp_path: Path) -> None:
    folder = tmp_path / "textfile"
    set_values()
    prometheus.write_file(str(folder), measures.collect(), LABELS)
    measures.set_value(measures.IMAGES_READ, 800, "decode")
    prometheus.write_file(str(folder), measures.collect(), LABELS)
    assert os.listdir(folder) == ["halftone-faces-train.prom"]
    text = (folder / "halftone-faces-train.prom").read_text()
    own = ("job_name=train", "run=faces")
    assert parse(text) == {
        ("halftone_images_read_total", "counter", *own, "stage=decode"): 800,
        ("halftone_train_loss", "gauge", *own, "split=train"): 0.25,
        ("halftone_train_loss", "gauge", *own, "split=validation"): 0.5,
    }
    assert "# HELP halftone_train_loss Mean cross-entropy of the last epoch.\n" in text


def test_a_push_replaces_the_group_of_the_job(server: MetricsServer) -> None:
    set_values()
    prometheus.push(server.url, measures.collect(), LABELS, timeout_secs=5)
    (request,) = server.requests
    assert (request.method, request.path) == (
        *("PUT", "/metrics/job/halftone/job_name/train/run/faces"),
    )
    assert parse(request.body.decode()) == {
        ("halftone_images_read_total", "counter", "stage=decode"): 400,
        ("halftone_train_loss", "gauge", "split=train"): 0.25,
        ("halftone_train_loss", "gauge", "split=validation"): 0.5,
    }


def test_a_gateway_that_refuses_is_an_error(server: MetricsServer) -> None:
    server.status = 400
    with pytest.raises(HTTPError, match="400"):
        prometheus.push(server.url, measures.collect(), LABELS, timeout_secs=5)


def test_names_follow_the_conventions() -> None:
    """https://prometheus.io/docs/practices/naming/: base units, _total for counters alone."""
    known = [value for value in vars(measures).values() if isinstance(value, measures.JobMeasure)]
    assert len(known) == 22
    for measure in known:
        assert measure.name.startswith("halftone_")
        assert measure.name.endswith("_total") == (measure.kind == measures.COUNTER)
        assert measure.text.endswith(".")
    assert len({measure.name for measure in known}) == len(known)
