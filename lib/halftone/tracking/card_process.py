"""The process that sends the model card of scores to an MLflow run.

    python -m halftone.tracking.card_process

halftone.tracking.scores_card starts it, and writes one line of JSON to its stdin. The last line of
stderr is the error, if it fails.
"""

from __future__ import annotations

import json
import os
import sys
import tempfile
from pathlib import Path

from halftone import storage
from halftone.card.files import MODEL_CARD
from halftone.tracking.tracker_process import SHORT_TIMEOUTS, describe_error


def main() -> None:
    os.environ.update({**SHORT_TIMEOUTS, **os.environ})
    job = json.loads(sys.stdin.read())
    try:
        _send_card(job["uri"], job["run_id"], job["scores"], job["folder"])
    except Exception as error:  # MLflow and its stores raise many types
        sys.exit(describe_error(error))


def _send_card(uri: str, run_id: str, scores: str, artifact_folder: str) -> None:
    from halftone.tracking import mlflow_store  # here: the caller reports a missing MLflow

    client = mlflow_store.connect(uri)
    with tempfile.TemporaryDirectory() as folder:  # log_artifacts accepts only local files
        for name in (f"{MODEL_CARD}.md", f"{MODEL_CARD}.html"):
            Path(folder, name).write_bytes(storage.read_bytes(storage.join(scores, name)))
        client.log_artifacts(run_id, folder, artifact_folder)


if __name__ == "__main__":
    main()
