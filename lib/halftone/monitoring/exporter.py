"""Send what this job measures, from a thread: a server that does not answer delays no job.

The libraries are imported only if the config or the environment says where metrics go.
"""

from __future__ import annotations

import logging
import os
import threading
import time
from collections.abc import Mapping, Sequence
from functools import partial
from typing import Callable, Optional

from halftone import measures
from halftone.config.monitoring import MonitoringSettings
from halftone.measures import MeasuredValue
from halftone.system import job_process
from halftone.tracking.tracker_process import describe_error
from halftone.tracking.tracking import mask_passwords

_INTERVAL_SECS = 15.0
_REQUEST_TIMEOUT_SECS = 2.0
_CLOSE_TIMEOUT_SECS = 5.0
# Read here and not in `otlp`, which is imported only if one is set.
OTLP_VARIABLES = ("OTEL_EXPORTER_OTLP_METRICS_ENDPOINT", "OTEL_EXPORTER_OTLP_ENDPOINT")
_logger = logging.getLogger(__name__)

# Gets the values and the labels that all of them have.
Send = Callable[[Sequence[MeasuredValue], Mapping[str, str]], None]


def start(settings: MonitoringSettings, run: str, job: str) -> Optional[Exporter]:
    """Send metrics from now on until the job ends; return None if they go nowhere.

    Args:
        settings: section `monitoring` of the config.
        run: name of the config, which is a label of all metrics.
        job: name of the job, which is a label too.
    """
    sinks = _create_sinks(settings)
    if not sinks:
        return None
    exporter = Exporter(sinks, {"run": run, "job_name": job})
    job_process.call_at_end(exporter.finish)
    return exporter


class Exporter:
    """The thread that sends.

    Args:
        sinks: by a name for messages.
        labels: of all metrics.
    """

    def __init__(self, sinks: Mapping[str, Send], labels: Mapping[str, str]) -> None:
        self._sinks, self._labels = sinks, labels
        self._failed: set[str] = set()
        self._is_over = threading.Event()
        measures.set_sent()
        measures.set_value(measures.JOB_START, time.time())
        self._thread = threading.Thread(target=self._run, daemon=True)
        self._thread.start()

    def finish(self, exit_code: int) -> None:
        """Send the last values, and wait for it, a few seconds at most."""
        measures.set_value(measures.JOB_END, time.time())
        measures.set_value(measures.JOB_EXIT_CODE, exit_code)
        self._is_over.set()
        self._thread.join(_CLOSE_TIMEOUT_SECS)
        if self._thread.is_alive():
            self._warn("the servers", f"no answer within {_CLOSE_TIMEOUT_SECS:.0f} s")

    def _run(self) -> None:
        while not self._is_over.is_set():
            self._send()
            self._is_over.wait(_INTERVAL_SECS)
        self._send()

    def _send(self) -> None:
        values = measures.collect()
        for name, send in self._sinks.items():
            try:
                send(values, self._labels)
            except Exception as error:  # of many types
                self._warn(name, describe_error(error))

    def _warn(self, name: str, problem: str) -> None:
        if name not in self._failed:
            self._failed.add(name)
            _warn(name, problem)


def _create_sinks(settings: MonitoringSettings) -> dict[str, Send]:
    """Return a function for each place that metrics go to, by a name for messages."""
    sinks: dict[str, Send] = {}
    folder, gateway = settings.prometheus_folder, settings.push_gateway
    try:
        if folder or gateway:
            from halftone.monitoring import prometheus
        if folder:
            sinks[f"monitoring.prometheus_folder {folder}"] = partial(prometheus.write_file, folder)
        if gateway:
            sinks[f"monitoring.push_gateway {gateway}"] = partial(
                prometheus.push, gateway, timeout_secs=_REQUEST_TIMEOUT_SECS
            )
        if settings.otlp_endpoint or any(map(os.environ.get, OTLP_VARIABLES)):
            from halftone.monitoring import otlp

            url = otlp.find_url(settings.otlp_endpoint, os.environ)
            if url:
                sinks[f"OpenTelemetry at {url}"] = partial(
                    otlp.send,
                    url,
                    environment=os.environ,
                    start_secs=time.time(),
                    timeout_secs=_REQUEST_TIMEOUT_SECS,
                )
    except ImportError as error:
        _warn("a package is missing", f"{error}; install halftone[metrics]")
    return sinks


def _warn(name: str, problem: str) -> None:
    text = f"metrics: {name}: {problem}; metrics are missing, the job is not affected"
    _logger.warning("%s", mask_passwords(text))
