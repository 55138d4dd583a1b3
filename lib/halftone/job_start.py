"""What a job does with its config before it begins to work."""

from __future__ import annotations

from halftone import logs
from halftone.config import Config
from halftone.monitoring import exporter
from halftone.storage import clients


def apply_settings(config: Config) -> None:
    """Let this process, and those that it starts later, use the config's stores and name.

    Metrics are sent from now on, if the config or the environment says where to.
    """
    clients.set_options(config.storage.options)
    logs.set_run(config.name)
    exporter.start(config.monitoring, config.name, logs.job_name())
