"""Send the model card of scores to the MLflow run of the model, if MLflow knows the model."""

from __future__ import annotations

import json
import logging
import os
import subprocess
import sys

from halftone import printable, storage
from halftone.card.files import MODEL_CARD
from halftone.config import TrackingSettings
from halftone.model_directory import TRACKING
from halftone.tracking import tracking

_logger = logging.getLogger(__name__)

_TIMEOUT_SECS = 60.0  # an unreachable server is given up much earlier


def send_scores_card(settings: TrackingSettings, model: str, scores: str, split: str) -> None:
    """Send the card to the folder scores/SPLIT of the run's artifacts.

    The run is that of the training, or of the registered version that was fetched. Nothing is sent
    if tracking is disabled or the model is of no run in the store. A failure gives a warning.

    Args:
        settings: where MLflow is.
        model: URL of the model directory.
        scores: URL of the scores directory.
        split: the split that was scored.
    """
    model, scores = map(storage.normalise_url, (model, scores))
    uri = tracking.store_uri(settings)
    if not settings.enabled or not _is_store(uri):
        return
    try:
        run_id = _find_run_id(model, uri)
        if run_id:
            job = {"uri": uri, "run_id": run_id, "scores": scores, "folder": f"scores/{split}"}
            _run_process(job)
            printable.print_line(f"tracked: scores/{split}/{MODEL_CARD}.md in run {run_id}")
    except Exception as error:  # the scores do not depend on MLflow
        message = tracking.mask_passwords(f"tracking: {uri}: the model card was not sent: {error}")
        _logger.warning("%s", message)


def _is_store(uri: str) -> bool:
    """Return whether the store may exist: an SQLite file is not created for a card."""
    if not uri.startswith(tracking.SQLITE_PREFIX):
        return True
    return os.path.exists(tracking.sqlite_path(uri))


def _find_run_id(model: str, uri: str) -> str:
    """Return the id of the run of a model; "" if it has none in this store."""
    try:
        tracked = storage.read_json(storage.join(model, TRACKING))
    except FileNotFoundError:
        return ""
    return str(tracked["run_id"]) if tracked["tracking_uri"] == tracking.mask_passwords(uri) else ""


def _run_process(job: dict[str, str]) -> None:
    """Send the card in another process, because importing MLflow takes seconds and memory.

    Raises:
        RuntimeError: it failed; the message is its last line.
    """
    done = subprocess.run(
        [sys.executable, "-m", "halftone.tracking.card_process"],
        input=json.dumps(job),
        capture_output=True,
        text=True,
        timeout=_TIMEOUT_SECS,
        env={**os.environ, **tracking.databricks_credentials(job["uri"])},
    )
    if done.returncode:
        last_line = "".join(done.stderr.strip().splitlines()[-1:])
        raise RuntimeError(last_line or f"exit code {done.returncode}")
