"""Report a run of a job to OpenLineage, if the environment says where to.

The settings are those of OpenLineage's Python client: OPENLINEAGE_URL with OPENLINEAGE_API_KEY, or
OPENLINEAGE_CONFIG, a file openlineage.yml, or OPENLINEAGE__TRANSPORT__TYPE and others like it;
OPENLINEAGE_NAMESPACE for the namespace of the jobs; OPENLINEAGE_DISABLED=true for no events.
"""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import TYPE_CHECKING, Callable, Optional

from halftone.errors import StoppedError
from halftone.lineage.datasets import DatasetFacts, read_facts
from halftone.lineage.warning import log_warning
from halftone.tracking.tracking import mask_passwords

if TYPE_CHECKING:
    from halftone.lineage.emitter import Emitter
    from halftone.lineage.events import Datasets, JobDescription

_DEFAULT_NAMESPACE = "halftone"
_VARIABLES = (
    "OPENLINEAGE_URL",
    "OPENLINEAGE_CONFIG",
    "OPENLINEAGE__TRANSPORT",
    "OPENLINEAGE__TRANSPORT__TYPE",
)
_FILES = ("openlineage.yml", "~/.openlineage/openlineage.yml")
# Gets the message of an error that the body does not raise.
Fail = Callable[[str], None]


@contextmanager
def report_job(
    config_name: str, stage: str, inputs: Mapping[str, str], outputs: Mapping[str, str]
) -> Iterator[Fail]:
    """Send START before the body, and COMPLETE, FAIL or ABORT after it.

    A failure to send gives one warning line, and delays the job by a few seconds at most.

    Args:
        config_name: the name of the config.
        stage: the job's script: preprocess, train, score, export, retrain or experiment.
        inputs: URLs of what the job reads by kind, see `datasets`.
        outputs: URLs of what it writes by kind.

    Yields:
        A function that makes the run a failed one, if the body ends without an exception.
    """
    run = _start_run(config_name, stage, inputs, outputs) if is_configured() else None
    failures: list[str] = []
    try:
        yield failures.append
    except BaseException as error:
        if run is not None:
            run.end(*_state_and_message(error))
        raise
    if run is not None:
        run.end(*(("FAIL", failures[0]) if failures else ("COMPLETE", None)))


def is_configured() -> bool:
    """Return whether the environment or a file of the client says where events go."""
    if os.environ.get("OPENLINEAGE_DISABLED", "").strip().lower() == "true":
        return False
    return any(os.environ.get(name) for name in _VARIABLES) or any(
        os.path.isfile(os.path.expanduser(path)) for path in _FILES
    )


class _JobRun:
    """A run whose START was sent."""

    def __init__(
        self,
        emitter: Emitter,
        job: JobDescription,
        inputs: Mapping[str, str],
        outputs: Mapping[str, str],
    ) -> None:
        self._emitter, self._job, self._outputs = emitter, job, outputs
        # Now: another job may write a new version while this one works.
        self._inputs: Datasets = {
            kind: (url, read_facts(kind, url)) for kind, url in inputs.items()
        }
        self._send("START")

    def end(self, state: str, message: Optional[str]) -> None:
        """Send the last event, and wait for the server; print a warning if that fails."""
        try:
            self._send(state, message)
        except Exception as error:
            log_warning(str(error))
        finally:
            self._emitter.close()

    def _send(self, state: str, message: Optional[str] = None) -> None:
        from openlineage.client.event_v2 import RunState

        from halftone.lineage import events

        is_written = state == "COMPLETE"
        outputs = {
            kind: (url, read_facts(kind, url) if is_written else DatasetFacts())
            for kind, url in self._outputs.items()
        }
        self._emitter.send(
            events.build_event(RunState(state), self._job, self._inputs, outputs, message)
        )


def _start_run(
    config_name: str, stage: str, inputs: Mapping[str, str], outputs: Mapping[str, str]
) -> Optional[_JobRun]:
    """Send START; return None, after a warning, if that is not possible."""
    namespace = os.environ.get("OPENLINEAGE_NAMESPACE") or _DEFAULT_NAMESPACE
    try:
        # Here: only if events are sent. The caller reports a client that is missing.
        from openlineage.client.uuid import generate_new_uuid

        from halftone.lineage.emitter import Emitter
        from halftone.lineage.events import JobDescription

        job = JobDescription(namespace, config_name, stage, str(generate_new_uuid()))
        return _JobRun(Emitter(), job, inputs, outputs)
    except Exception as error:
        log_warning(str(error))
        return None


def _state_and_message(error: BaseException) -> tuple[str, Optional[str]]:
    """Return the state of a run that an error ends, and the message of a failure."""
    if isinstance(error, StoppedError) or not isinstance(error, Exception):
        return "ABORT", None
    return "FAIL", mask_passwords(str(error) or type(error).__name__)
