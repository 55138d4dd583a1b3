"""Metrics as a file of node_exporter's textfile collector, or pushed to a Pushgateway."""

from __future__ import annotations

import os
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Union

from prometheus_client import CollectorRegistry, push_to_gateway, write_to_textfile
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, Metric

from halftone.measures import COUNTER, MeasuredValue

_JOB = "halftone"  # the Pushgateway's label `job`


class _Collector:
    """Gives values to a registry of the client."""

    def __init__(self, values: Sequence[MeasuredValue], labels: Mapping[str, str]) -> None:
        self._values, self._labels = values, labels

    def collect(self) -> Iterable[Metric]:
        families: dict[str, Union[CounterMetricFamily, GaugeMetricFamily]] = {}
        for measure, labels, value in self._values:
            if measure.name not in families:
                kind = CounterMetricFamily if measure.kind == COUNTER else GaugeMetricFamily
                names = [*self._labels, *measure.labels]
                families[measure.name] = kind(measure.name, measure.text, labels=names)
            families[measure.name].add_metric([*self._labels.values(), *labels], value)
        return families.values()


def write_file(folder: str, values: Sequence[MeasuredValue], labels: Mapping[str, str]) -> None:
    """Write the file of a job; a reader sees the old one or the new one.

    Args:
        folder: is created if it does not exist.
        labels: of all values, such as run and job_name; they name the file.
    """
    os.makedirs(folder, exist_ok=True)
    path = Path(folder, f"{'-'.join(['halftone', *labels.values()])}.prom")
    write_to_textfile(str(path), _registry(values, labels))


def push(
    gateway: str, values: Sequence[MeasuredValue], labels: Mapping[str, str], timeout_secs: float
) -> None:
    """Replace the values of this job in a Pushgateway.

    Args:
        labels: of all values; they are also the group that is replaced.

    Raises:
        OSError: the gateway cannot be reached, or refuses the values.
    """
    push_to_gateway(
        gateway,
        job=_JOB,
        registry=_registry(values, {}),
        grouping_key=dict(labels),
        timeout=timeout_secs,
    )


def _registry(values: Sequence[MeasuredValue], labels: Mapping[str, str]) -> CollectorRegistry:
    registry = CollectorRegistry()
    registry.register(_Collector(values, labels))
    return registry
