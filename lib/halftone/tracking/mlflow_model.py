"""Fetch a model directory from MLflow, by registered version, alias or run."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from halftone import model_directory, storage
from halftone.config import TrackingSettings
from halftone.errors import InputError, MissingPackageError
from halftone.model_directory import FETCHED_MODELS, HISTORY, MODEL_INFO, TRACKING
from halftone.tracking import tracking

if TYPE_CHECKING:
    from mlflow import MlflowClient

_REGISTERED_PREFIX, _RUN_PREFIX = "models:/", "runs:/"


def is_mlflow_uri(model: str) -> bool:
    """Return whether `model` is like models:/faces/3, models:/faces@champion or runs:/ID/model."""
    return model.startswith((_REGISTERED_PREFIX, _RUN_PREFIX))


def fetch_model(model: str, output: str, settings: TrackingSettings) -> str:
    """Copy a model to a folder below `output`, where all workers can read it.

    An alias is resolved once, so all workers use the same version.

    Args:
        model: a URI, see `is_mlflow_uri`.
        output: URL of a folder.
        settings: where MLflow is.

    Returns:
        The URL of the copy.

    Raises:
        InputError: MLflow does not have the model, it is not a Halftone model, or `output` cannot
            be written.
    """
    storage.check_writable(storage.normalise_url(output))  # before minutes of download
    uri = tracking.store_uri(settings)
    with _download_model(model, uri) as (folder, run_id):
        if not Path(folder, MODEL_INFO).exists():
            raise InputError(
                f"{model}: not a Halftone model: it has no {MODEL_INFO} in "
                f"{tracking.mask_passwords(uri)}; jobs/train.py stores models as runs:/ID/model"
            )
        model_info = model_directory.read_model_info(folder)
        copy = storage.join(storage.normalise_url(output), FETCHED_MODELS, model_info.version)
        if not storage.exists(storage.join(copy, MODEL_INFO)):
            tracked = {"tracking_uri": tracking.mask_passwords(uri), "run_id": run_id}
            storage.write_json(storage.join(copy, TRACKING), tracked)
            # MODEL_INFO is written last: it marks a complete copy.
            for name in (model_info.network, HISTORY, MODEL_INFO):
                storage.write_bytes(storage.join(copy, name), Path(folder, name).read_bytes())
    return copy


@contextmanager
def _download_model(model: str, uri: str) -> Iterator[tuple[str, str]]:
    """Yield the folder of the model's files, and the id of the run that has them."""
    try:
        from mlflow import MlflowClient  # imported here because it takes seconds

        from halftone.tracking import mlflow_store
    except ModuleNotFoundError:
        raise MissingPackageError(model, "mlflow", "mlflow") from None

    if not mlflow_store.store_exists(uri):
        raise InputError(
            f"{model}: there is no MLflow store at {uri}; check tracking.uri or MLFLOW_TRACKING_URI"
        )
    with tempfile.TemporaryDirectory() as folder, tracking_environment(uri):
        try:
            client = MlflowClient(uri)
            run_id, artifacts = _locate_artifacts(model, client)
            path = client.download_artifacts(run_id, artifacts, folder)
        except Exception as error:  # MLflow and its stores raise many types
            message = tracking.mask_passwords(" ".join(str(error).split()))
            raise InputError(
                f"{model}: cannot be fetched from {tracking.mask_passwords(uri)}: {message}; check "
                "--model, and tracking.uri or MLFLOW_TRACKING_URI"
            ) from None
        yield path, run_id


def _locate_artifacts(model: str, client: MlflowClient) -> tuple[str, str]:
    """Return the id of the run that has the files, and their path among its artifacts.

    MLflow's function for this uses the default store of the process.
    """
    from mlflow.store.artifact.utils.models import get_model_name_and_version

    if model.startswith(_RUN_PREFIX):
        run_id, _, path = model[len(_RUN_PREFIX) :].partition("/")
        return run_id, path
    name, version = get_model_name_and_version(client, model)  # type: ignore[no-untyped-call]
    model_version = client.get_model_version(name, version)
    run_id, source = model_version.run_id, model_version.source
    artifacts = client.get_run(run_id).info.artifact_uri
    if not source.startswith(f"{artifacts}/"):
        raise InputError(f"its files at {source} are not artifacts of its run {run_id}")
    return run_id, source[len(artifacts) + 1 :]


@contextmanager
def tracking_environment(uri: str) -> Iterator[None]:
    """Set the environment variables from which some MLflow functions read the store's URI.

    Also limit retries of a server that does not answer, and disable progress bars, unless the user
    has set these variables.
    """
    before = dict(os.environ)
    defaults = {
        "MLFLOW_HTTP_REQUEST_MAX_RETRIES": "1",
        "MLFLOW_ENABLE_ARTIFACTS_PROGRESS_BAR": "false",
    }
    os.environ.update({**defaults, **before})
    os.environ["MLFLOW_TRACKING_URI"] = uri
    try:
        yield
    finally:
        os.environ.clear()
        os.environ.update(before)
